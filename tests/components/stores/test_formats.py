"""A database of an older format is brought to today's; one of a newer format is left alone."""

import sqlite3
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from haystack import Document

from lodestone.components.errors import ConfigurationError
from lodestone.components.stores import FaissDocumentStore, migrations

# As the first version made it.
FORMAT_1 = """
CREATE TABLE properties (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE passages (
    row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, meta TEXT NOT NULL, score REAL, content TEXT, extra TEXT,
    blob BLOB
);
CREATE INDEX passages_of_source ON passages (json_extract(meta, '$."source"'), json_extract(meta, '$."root"'));
CREATE TABLE vectors (row INTEGER PRIMARY KEY, vector BLOB NOT NULL);
CREATE TABLE tombstones (sequence INTEGER PRIMARY KEY, row INTEGER NOT NULL);
CREATE TABLE roots (name TEXT PRIMARY KEY, path TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE sources (
    root TEXT NOT NULL, path TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    content_hash TEXT NOT NULL, pipeline TEXT NOT NULL, state TEXT NOT NULL, error TEXT, passages INTEGER NOT NULL,
    indexed_at REAL NOT NULL,
    PRIMARY KEY (root, path)
) WITHOUT ROWID;
CREATE TABLE texts (
    root TEXT NOT NULL, path TEXT NOT NULL, id TEXT NOT NULL, text BLOB NOT NULL, meta TEXT NOT NULL,
    PRIMARY KEY (root, path, id)
);
CREATE INDEX texts_by_id ON texts (id);
PRAGMA application_id = 1280263237;
PRAGMA user_version = 1;
PRAGMA journal_mode = WAL;
INSERT INTO properties VALUES
    ('similarity', 'cosine'), ('language', 'english'), ('embedding_dim', '2'), ('store_id', 'abc'), ('sequence', '7');
INSERT INTO passages VALUES
    (1, 'a', '{"n":1}', NULL, 'one word', NULL, NULL), (3, 'b', '{"n":2}', 0.5, NULL, NULL, NULL),
    (6, 'ü', '{"n":[]}', NULL, 'ünï word', '{"blob": {"mime_type": null, "meta": "{}"}}', x'0102');
INSERT INTO tombstones VALUES (7, 2);
"""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A folder with a database of format 1."""
    connection = sqlite3.connect(tmp_path / "passages.sqlite")
    connection.executescript(FORMAT_1)
    with connection:
        connection.executemany(
            "INSERT INTO vectors VALUES (?, ?)", [(1, struct.pack("<2f", 1, 0)), (6, struct.pack("<2f", 1, 2))]
        )
    connection.close()
    return tmp_path


def version_of(folder: Path) -> int:
    connection = sqlite3.connect(folder / "passages.sqlite")
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.close()
    return version


def test_an_older_format_is_brought_to_todays(old: Path, caplog: pytest.LogCaptureFixture) -> None:
    with FaissDocumentStore(old) as store:
        assert [document.id for document in store.filter_documents()] == ["a", "b", "ü"]
        assert [document.id for document in store.embedding_retrieval([1.0, 2.0])] == ["ü", "a"]
        assert {document.id for document in store.bm25_retrieval("words")} == {"a", "ü"}
        assert store.verify().ok
        store.write_documents([Document(id="new", content="new", embedding=[1.0, 1.0])])
        assert store.verify().ok
    assert "from format 1 to format" in caplog.text
    assert version_of(old) == migrations.FORMAT_VERSION
    caplog.clear()
    with FaissDocumentStore(old) as store:
        assert store.count_documents() == 4
    assert caplog.text == ""


@pytest.mark.parametrize("call", ["verify", "export_to"])
def test_an_older_format_is_brought_to_todays_by_whatever_opens_it(old: Path, call: str, tmp_path: Path) -> None:
    store = FaissDocumentStore(old)
    found = store.verify() if call == "verify" else store.export_to(tmp_path / "export.jsonl")
    assert found.passages == 3
    assert version_of(old) == migrations.FORMAT_VERSION


def test_a_migrated_database_is_made_as_a_new_one_is(old: Path, tmp_path: Path) -> None:
    FaissDocumentStore(old).count_documents()
    with FaissDocumentStore(tmp_path / "new") as store:
        store.write_documents([Document(id="x", content="")])
    layouts = []
    for folder in (old, tmp_path / "new"):
        connection = sqlite3.connect(folder / "passages.sqlite")
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master ORDER BY name")]
        columns = {name: [row[:4] for row in connection.execute(f"PRAGMA table_xinfo('{name}')")] for name in tables}
        layouts.append(columns)
        connection.close()
    assert layouts[0] == layouts[1]


def test_a_migration_that_fails_changes_nothing(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(database: migrations.Tables) -> None:
        database.execute("DELETE FROM passages")
        raise OSError("the power fails")

    before = (old / "passages.sqlite").read_bytes()
    with monkeypatch.context() as patch:
        patch.setitem(migrations._STEPS, 1, fail)
        with pytest.raises(OSError, match="the power fails"):
            FaissDocumentStore(old).count_documents()
    assert version_of(old) == 1
    assert (old / "passages.sqlite").read_bytes() == before
    assert FaissDocumentStore(old).count_documents() == 3


def test_an_older_format_that_another_process_writes_to_is_refused_with_advice(old: Path) -> None:
    script = "import filelock, sys\nwith filelock.FileLock(sys.argv[1]):\n    print('held', flush=True); input()"
    command = [sys.executable, "-c", script, str(old / "writer.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(ConfigurationError, match=r"older format 1.*wait until it is no longer written to"):
            FaissDocumentStore(old).count_documents()
        process.communicate("\n")
    assert FaissDocumentStore(old).count_documents() == 3


def test_a_migration_by_another_process_is_waited_for(old: Path) -> None:
    script = """
import sqlite3, sys, time
from lodestone.components.stores import FaissDocumentStore, migrations
def slowly(database, step=migrations._STEPS[1]):
    step(database)
    print("migrating", flush=True)
    time.sleep(1)
migrations._STEPS[1] = slowly
print(FaissDocumentStore(sys.argv[1]).count_documents())
"""
    with subprocess.Popen([sys.executable, "-c", script, str(old)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "migrating\n"
        assert FaissDocumentStore(old).count_documents() == 3
        assert process.stdout.readline() == "3\n"


def test_a_newer_format_is_refused(old: Path) -> None:
    with sqlite3.connect(old / "passages.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
    for call in (FaissDocumentStore(old).count_documents, FaissDocumentStore(old).verify):
        with pytest.raises(ConfigurationError, match=r"format 99.*update lodestone"):
            call()


def test_nothing_is_written_once_a_newer_lodestone_has_been_there(tmp_path: Path) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents([Document(id="a", content="a")])
        with sqlite3.connect(tmp_path / "passages.sqlite") as connection:
            connection.execute("PRAGMA user_version = 99")
        with pytest.raises(ConfigurationError, match=r"brought to format 99 by a newer Lodestone"):
            store.write_documents([Document(id="b", content="b")])


def test_the_ledger_and_the_indexes_on_metadata_survive_the_way_to_todays_format(tmp_path: Path) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents([Document(id=f"d{n}", content=f"text {n}", meta={"n": n}) for n in range(5000)])
        store.index_metadata(["n"])
    to_format_2(tmp_path)
    with FaissDocumentStore(tmp_path) as store:
        assert store.filter_documents({"field": "id", "operator": "==", "value": "d77"})[0].content == "text 77"
        assert store.count_documents_by_filter({"field": "meta.n", "operator": "<", "value": 10}) == 10
        store.delete_documents(["d77"])
        assert store.count_documents() == 4999
        assert store.verify().ok
    assert index_names(tmp_path) == {"filter:n", "passages_by_key", "passages_of_source"}


def to_format_2(folder: Path) -> None:
    """What format 3 added is taken away."""
    connection = sqlite3.connect(folder / "passages.sqlite")
    connection.executescript(
        """
        CREATE TABLE newer AS SELECT * FROM passages;
        CREATE TABLE older (
            row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, meta TEXT NOT NULL, score REAL, content TEXT, extra TEXT,
            blob BLOB, checksum INTEGER NOT NULL
        );
        INSERT INTO older SELECT row, id, meta, score, content, extra, blob, checksum FROM newer;
        DROP TABLE newer;
        DROP TABLE passages;
        ALTER TABLE older RENAME TO passages;
        CREATE INDEX passages_of_source ON passages (json_extract(meta, '$."source"'), json_extract(meta, '$."root"'));
        CREATE INDEX "filter:n" ON passages (json_extract(meta, '$."n"'));
        DROP INDEX sources_by_identity;
        ALTER TABLE sources DROP COLUMN seconds;
        ALTER TABLE sources DROP COLUMN identity;
        PRAGMA user_version = 2;
        """
    )
    connection.close()


def index_names(folder: Path) -> set[str]:
    connection = sqlite3.connect(folder / "passages.sqlite")
    sql = "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'passages' AND sql IS NOT NULL"
    names = {name for (name,) in connection.execute(sql)}
    connection.close()
    return names
