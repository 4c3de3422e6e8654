"""A store can be checked, rebuilt, written out and read back."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from haystack import Document
from haystack.dataclasses import ByteStream, SparseEmbedding

from lodestone.components.errors import ConfigurationError, LodestoneError
from lodestone.components.stores import FaissDocumentStore, SourceRecord, SourceText


def passage(n: int, path: str = "a.md") -> Document:
    meta = {"root": "docs", "source": path, "source_id": f"{path}#text", "n": n}
    return Document(id=f"{path}-{n}", content=f"words number{n} of {path}", meta=meta, embedding=[0.1, n / 3, -0.0])


def record(path: str, passages: int) -> SourceRecord:
    return SourceRecord("docs", path, 10, 2**62, "hash", "pipeline", "indexed", None, passages, 1.5, 0.25, f"of {path}")


def fill(store: FaissDocumentStore, count: int = 40) -> None:
    for path in ("a.md", "b.md"):
        passages = [passage(n, path) for n in range(count)]
        store.write_source(record(path, count), [SourceText(f"{path}#text", f"text of {path}\0", {"k": 1})], passages)
    store.write_documents(
        [
            Document(id="odd", content=None, score=0.25, meta={"big": 2**70, "nul": "a\0b", "$lodestone": [1]}),
            Document(id="blob", blob=ByteStream(b"\x00\xff", meta={"x": 1}, mime_type="a/b")),
            Document(id="sparse", content="ünï \u2028", sparse_embedding=SparseEmbedding([1, 5], [0.5, 0.25])),
        ]
    )
    store.delete_documents(["a.md-3"])
    store.set_setting("embedding_model", '{"model": "m"}')
    store.set_root("docs", "/some/where")


@pytest.fixture
def store(tmp_path: Path) -> FaissDocumentStore:
    store = FaissDocumentStore(tmp_path / "store")
    fill(store)
    store.close()
    return store


def contents(store: FaissDocumentStore) -> dict[str, Any]:
    """All that a user can ask of a store."""
    return {
        "passages": store.filter_documents(),
        "sources": list(store.sources()),
        "texts": [store.source_text(f"{path}#text") for path in ("a.md", "b.md")],
        "roots": store.roots(),
        "settings": store.get_setting("embedding_model"),
        "dense": store.embedding_retrieval([0.3, 1.0, 0.0], top_k=100),
        "words": sorted(document.id for document in store.bm25_retrieval("words number7 a.md", top_k=100)),
        "dim": store.statistics()["dim"],
    }


def database_of(store: FaissDocumentStore) -> Path:
    return Path(store.path) / "passages.sqlite"


def test_an_intact_store_is_verified(store: FaissDocumentStore) -> None:
    found = store.verify()
    assert found.ok
    assert (found.passages, found.vectors, found.dense, found.bm25) == (82, 79, 79, 82)


def test_a_store_is_verified_while_it_is_written_to(store: FaissDocumentStore) -> None:
    store.write_documents([Document(id="new", content="new", embedding=[1.0, 0.0, 0.0])])
    assert store.verify().ok
    store.delete_documents(["new"])
    assert store.verify().ok


@pytest.mark.parametrize("pattern", ["vectors.faiss", "vectors.json", "text/*.term", "text/meta.json"])
@pytest.mark.parametrize("half", [True, False])
def test_a_damaged_index_is_found_and_left_as_it_is(store: FaissDocumentStore, pattern: str, half: bool) -> None:
    (path, *_) = Path(store.path).glob(pattern)
    content = path.read_bytes()
    damaged = content[: len(content) // 2] if half else b"\x00" * len(content)
    path.write_bytes(damaged)
    found = store.verify()
    assert found.database_problems == []
    assert len(found.index_problems) == 1
    assert found.index_problems[0].startswith(pattern.partition("/")[0].partition(".")[0])
    assert path.read_bytes() == damaged
    store.rebuild()
    assert store.verify().ok


def test_an_index_that_lacks_passages_or_keeps_deleted_ones_is_found(store: FaissDocumentStore) -> None:
    connection = sqlite3.connect(database_of(store))
    with connection:
        # Behind the store's back, so that no index learns of it.
        connection.execute("DELETE FROM passages WHERE id = 'a.md-1'")
        connection.execute("DELETE FROM vectors WHERE row NOT IN (SELECT row FROM passages)")
        connection.execute("UPDATE passages SET row = row + 1000000 WHERE id = 'a.md-2'")
    connection.close()
    found = store.verify()
    assert "1 vectors belong to no passage" in found.database_problems[0]
    assert ["1 are no longer there" in problem for problem in found.index_problems] == [True, False]
    assert "2 are no longer there" in found.index_problems[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE passages SET content = 'words number9 of a.mD' WHERE id = 'a.md-9'", "the passage a.md-9"),
        ("UPDATE passages SET content = CAST(x'ff' AS TEXT) WHERE id = 'a.md-9'", "the passage a.md-9"),
        ("UPDATE passages SET key = key + 1 WHERE row = 5", "the passage a.md-4"),
        ("UPDATE vectors SET vector = zeroblob(12) WHERE row = 5", "the vector of row 5"),
        ("UPDATE texts SET text = x'00' WHERE path = 'a.md'", "the text of the document a.md#text"),
    ],
)
def test_flipped_bytes_in_the_database_are_found_and_never_shown(
    store: FaissDocumentStore, change: str, message: str
) -> None:
    connection = sqlite3.connect(database_of(store))
    with connection:
        connection.execute(change)
    connection.close()
    (problem,) = store.verify().database_problems
    assert problem.endswith(f"changed on the disk: {message}")
    if "SET content" in change:
        with pytest.raises(ConfigurationError, match=r"is damaged.*store export --salvage"):
            store.filter_documents()
    if "UPDATE texts" in change:
        with pytest.raises(ConfigurationError, match=r"is damaged.*store export --salvage"):
            store.source_text("a.md#text")


def test_an_imported_store_equals_the_exported_one(store: FaissDocumentStore, tmp_path: Path) -> None:
    counts = store.export_to(tmp_path / "export.jsonl")
    assert (counts.passages, counts.sources, counts.left_out) == (82, 2, 0)
    other = FaissDocumentStore(tmp_path / "other")
    assert other.import_from(tmp_path / "export.jsonl") == counts
    assert contents(other) == contents(store)
    assert other.verify().ok
    other.export_to(tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "export.jsonl").read_bytes()
    assert not list(tmp_path.glob("*.tmp"))
    # What was imported is the very same to the ledger: writing it again changes nothing.
    sequence = other.statistics()["last_write"]
    before = [document.id for document in other.filter_documents()]
    passages = [passage(n, "b.md") for n in range(40)]
    other.write_source(record("b.md", 40), [SourceText("b.md#text", "text of b.md\0", {"k": 1})], passages)
    assert [document.id for document in other.filter_documents()] == before
    assert other.statistics()["last_write"] > sequence


def test_an_export_of_an_earlier_version_is_imported(store: FaissDocumentStore, tmp_path: Path) -> None:
    store.export_to(tmp_path / "export.jsonl")
    lines = [re.sub(r'"seconds":0.25,"identity":"[^"]*",', "", line) for line in lines_of(tmp_path / "export.jsonl")]
    (tmp_path / "earlier.jsonl").write_text("".join(lines))
    assert "identity" not in (tmp_path / "earlier.jsonl").read_text()
    with FaissDocumentStore(tmp_path / "other") as other:
        other.import_from(tmp_path / "earlier.jsonl")
        expected = [replace(record, seconds=0.0, identity="") for record in store.sources()]
        assert list(other.sources()) == expected


def test_vectors_come_back_bit_by_bit(tmp_path: Path) -> None:
    bits = np.random.default_rng(0).integers(0, 2**32, size=(400, 8), dtype=np.uint32).view(np.float32)
    edges = np.array([0.0, -0.0, 1e-45, -1e-45, 3.4028235e38, 1.1754944e-38, 0.1, 1 / 3], dtype=np.float32)
    vectors = [vector for vector in [*bits, edges] if np.isfinite(vector).all()]
    with FaissDocumentStore(tmp_path / "a") as one, FaissDocumentStore(tmp_path / "b") as other:
        one.write_documents([Document(id=str(n), embedding=vector.tolist()) for n, vector in enumerate(vectors)])
        one.export_to(tmp_path / "export.jsonl")
        other.import_from(tmp_path / "export.jsonl")
        found = [np.array(document.embedding, dtype=np.float32).tobytes() for document in other.filter_documents()]
    assert found == [vector.tobytes() for vector in vectors]


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines(keepends=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: [*lines[:4], "{nope\n", *lines[4:]], r"export.jsonl:5: not JSON.*nothing was imported"),
        (lambda lines: [*lines[:4], lines[3], *lines[4:]], r"export.jsonl:5: the id 'a.md-2' comes twice"),
        (lambda lines: lines[1:], r"export.jsonl:1: the first line"),
        (lambda lines: [lines[0], *lines], r"export.jsonl:2: the first line"),
        (lambda lines: lines[:-1], r"cut off after line 85"),
        (lambda lines: [], r"cut off after line 0"),
        (lambda lines: [*lines[:3], *lines[4:]], r"held 82 passages and 2 files, here are 81 and 2: lines are missing"),
        (lambda lines: [*lines, lines[-1]], r"export.jsonl:87: nothing may come after"),
        (lambda lines: [lines[0], '{"passage":{"id":"x"}}\n', *lines[1:]], r"export.jsonl:2: 'content' is missing"),
        (lambda lines: [lines[0], '{"recipe":1}\n', *lines[1:]], r"export.jsonl:2: must hold one of .* got 'recipe'"),
        (lambda lines: [lines[0], "[]\n", *lines[1:]], r"export.jsonl:2: must be a JSON object"),
        (
            lambda lines: [*lines[:5], '{"passage":{"id":"x","content":"","meta":{},"embedding":[1,2]}}\n', *lines[5:]],
            r"export.jsonl:6: the embedding has 2 dimensions, expected 3",
        ),
        (
            lambda lines: [lines[0], '{"passage":{"id":"x","content":"","meta":{},"embedding":["a"]}}\n', *lines[1:]],
            r"export.jsonl:2: passage 'x': the embedding must be a list of numbers",
        ),
        (
            lambda lines: [line.replace('"size":10', '"size":"10"') for line in lines],
            r":84: a source's size must not be",
        ),
        (
            lambda lines: [line.replace('"cosine"', '"dot_product"') for line in lines],
            r":1: .*similarity 'dot_product'",
        ),
        (lambda lines: ['{"lodestone_export":9}\n', *lines[1:]], r":1: the export has format 9.*update lodestone"),
    ],
)
def test_a_wrong_export_is_refused_with_the_line_and_imports_nothing(
    store: FaissDocumentStore, tmp_path: Path, change: Callable[[list[str]], list[str]], message: str
) -> None:
    path = tmp_path / "export.jsonl"
    store.export_to(path)
    good = lines_of(path)
    path.write_text("".join(change(good)), encoding="utf-8")
    with FaissDocumentStore(tmp_path / "other") as other:
        with pytest.raises(ConfigurationError, match=message):
            other.import_from(path)
        assert other.count_documents() == 0
        assert list(other.sources()) == []
        path.write_text("".join(good), encoding="utf-8")
        assert other.import_from(path).passages == 82


def test_an_export_is_not_imported_over_something(store: FaissDocumentStore, tmp_path: Path) -> None:
    store.export_to(tmp_path / "export.jsonl")
    with pytest.raises(ConfigurationError, match="is not empty: import into another folder"):
        store.import_from(tmp_path / "export.jsonl")
    assert store.count_documents() == 82
    with pytest.raises(LodestoneError, match=r"missing.jsonl cannot be read: No such file"):
        store.import_from(tmp_path / "missing.jsonl")


@pytest.mark.parametrize("kept", [None, "notes.txt"])
def test_a_refused_import_leaves_nothing_behind(store: FaissDocumentStore, tmp_path: Path, kept: str | None) -> None:
    path, folder = tmp_path / "export.jsonl", tmp_path / "other"
    store.export_to(path)
    path.write_text("".join(lines_of(path)[:-1]), encoding="utf-8")
    if kept is not None:
        folder.mkdir()
        (folder / kept).write_text("mine")
    other = FaissDocumentStore(folder)
    with pytest.raises(ConfigurationError, match="was cut off"):
        other.import_from(path)
    assert sorted(each.name for each in folder.iterdir()) == [kept] if kept else not folder.exists()
    store.export_to(path)
    assert other.import_from(path).passages == 82
    other.close()


def test_an_import_refused_for_another_writer_touches_nothing_of_its(
    store: FaissDocumentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.export_to(tmp_path / "export.jsonl")
    # As if the other had begun between the look and the lock.
    monkeypatch.setattr(FaissDocumentStore, "exists", lambda self: False)
    with pytest.raises(ConfigurationError, match="is not empty"):
        store.import_from(tmp_path / "export.jsonl")
    monkeypatch.undo()
    assert store.count_documents() == 82


def test_an_import_takes_no_numbers_of_the_other_folder(store: FaissDocumentStore, tmp_path: Path) -> None:
    path = tmp_path / "export.jsonl"
    store.export_to(path)
    header, *rest = lines_of(path)
    changed = json.loads(header)
    changed["properties"]["sequence"] = "100000"
    path.write_text("".join([json.dumps(changed) + "\n", *rest]), encoding="utf-8")
    with FaissDocumentStore(tmp_path / "other") as other:
        other.import_from(path)
        assert other.verify().ok
    about = json.loads((tmp_path / "other" / "vectors.json").read_text())
    assert about["sequence"] == 82


def test_what_is_readable_is_salvaged_from_a_truncated_database(tmp_path: Path) -> None:
    with FaissDocumentStore(tmp_path / "store") as store:
        fill(store, 400)
        path = database_of(store)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 7 // 10])
    with pytest.raises(ConfigurationError, match=r"is damaged.*store export --salvage"):
        store.count_documents()
    assert store.verify().database_problems
    with pytest.raises(ConfigurationError, match="is damaged"):
        store.export_to(tmp_path / "export.jsonl")
    assert not (tmp_path / "export.jsonl").exists()
    counts = store.export_to(tmp_path / "export.jsonl", salvage=True)
    assert 100 < counts.passages < 802
    assert counts.left_out > 0
    with FaissDocumentStore(tmp_path / "other") as other:
        assert other.import_from(tmp_path / "export.jsonl").passages == counts.passages
        assert other.verify().ok
        # A file that lost passages is no longer in the ledger, so that it is indexed again.
        for source in other.sources():
            held = {"field": "meta.source", "operator": "==", "value": source.path}
            assert other.count_documents_by_filter(held) == source.passages


@pytest.mark.parametrize("left", [b"", b"\x00nothing that SQLite knows" * 400])
def test_salvaging_says_where_nothing_can_be_read(store: FaissDocumentStore, tmp_path: Path, left: bytes) -> None:
    store.close()
    (Path(store.path) / "passages.sqlite").write_bytes(left)
    with pytest.raises(ConfigurationError, match="nothing in it can be read"):
        store.export_to(tmp_path / "export.jsonl", salvage=True)


def test_a_passage_that_changed_on_the_disk_is_not_salvaged(store: FaissDocumentStore, tmp_path: Path) -> None:
    connection = sqlite3.connect(database_of(store))
    with connection:
        connection.execute("UPDATE passages SET content = 'other' WHERE id = 'b.md-9'")
    connection.close()
    counts = store.export_to(tmp_path / "export.jsonl", salvage=True)
    assert (counts.passages, counts.sources) == (81, 0)  # a.md lost one by `delete_documents`
    assert '"b.md-9"' not in (tmp_path / "export.jsonl").read_text()


def test_there_must_be_a_store(tmp_path: Path) -> None:
    store = FaissDocumentStore(tmp_path / "none")
    for call in (store.verify, store.rebuild, lambda: store.export_to(tmp_path / "x")):
        with pytest.raises(ConfigurationError, match="there is no store in"):
            call()
    assert os.listdir(tmp_path) == []


def test_rebuilding_makes_both_indexes_again(store: FaissDocumentStore) -> None:
    expected = contents(store)
    store.close()
    shutil.rmtree(Path(store.path) / "text")
    (Path(store.path) / "vectors.faiss").write_bytes(b"")
    store.rebuild()
    assert not (Path(store.path) / "writer.json").exists()
    assert contents(store) == expected
    assert store.verify().ok


def test_compacting_takes_out_what_was_deleted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with FaissDocumentStore(tmp_path) as store:
        fill(store, 400)
        store.save()
        before = store.statistics()["bytes"]
        store.delete_by_filter({"field": "meta.n", "operator": ">=", "value": 40})
        store.compact()
        after = store.statistics()["bytes"]
        assert all(after[part] < before[part] / 2 for part in ("database", "vectors", "text"))
        assert (
            len(store.bm25_retrieval("words", top_k=1000))
            == len(store.embedding_retrieval([1.0] * 3, top_k=1000))
            == 79
        )
        assert store.verify().ok
    assert caplog.text == ""


def test_compacting_is_refused_while_another_process_writes(store: FaissDocumentStore) -> None:
    store.count_documents()
    script = "import filelock, sys\nwith filelock.FileLock(sys.argv[1]):\n    print('held', flush=True); input()"
    command = [sys.executable, "-c", script, str(Path(store.path) / "writer.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        for call in (store.compact, store.rebuild):
            with pytest.raises(LodestoneError, match="being written to by another process"):
                call()
        assert store.verify().ok
        process.communicate("\n")
    store.compact()
