"""A store in a folder where nothing may be written can be asked everything."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from haystack import Document

from lodestone.components.stores import FaissDocumentStore, SourceRecord

READER = textwrap.dedent(
    """
    import logging, sys
    from haystack import Document
    from lodestone.components.errors import LodestoneError
    from lodestone.components.stores import FaissDocumentStore

    logging.disable(logging.WARNING)
    above = {"field": "meta.n", "operator": ">", "value": 14}

    def ids(documents):
        return [document.id for document in documents]

    def ask(store):
        print(store.count_documents(), store.statistics()["passages"], len(store.filter_documents(above)))
        print(*ids(store.embedding_retrieval([1.0, 3.0], top_k=2)))
        print(*ids(store.embedding_retrieval([1.0, 3.0], above, top_k=1)))
        print(*ids(store.bm25_retrieval("number7")))
        print(*ids(store.bm25_retrieval("word", above, top_k=2)))
        print(store.roots(), [record.path for record in store.sources()], store.get_setting("model"), flush=True)

    try:
        with FaissDocumentStore(sys.argv[1]) as store:
            ask(store)
            for _ in sys.stdin:
                ask(store)
        store.write_documents([Document(content="x")])
    except LodestoneError as error:
        print(type(error).__name__, error)
    """
)
ANSWERS = ["20 20 5", "3 4", "15", "7", "15 16", "{'docs': '/docs'} ['a.md'] some-model"]
# Root may write anywhere; without these capabilities it may not. "stranger" is another user besides.
WITHOUT_PRIVILEGES = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]
STRANGER = [*WITHOUT_PRIVILEGES, "--reuid=65534", "--regid=65534", "--clear-groups"]


@pytest.fixture(params=["owner", "stranger"])
def user(request: pytest.FixtureRequest) -> list[str]:
    """What to put before a command to run it as a user who may not write."""
    if os.geteuid() != 0:
        if request.param == "stranger":
            pytest.skip("only root can become another user")
        return []
    prefix = STRANGER if request.param == "stranger" else WITHOUT_PRIVILEGES
    command = [*prefix, sys.executable, "-c", "import lodestone"]
    if shutil.which("setpriv") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("setpriv cannot start this Python with fewer rights")
    return prefix


@pytest.fixture
def folder() -> Iterator[Path]:
    """A store in a folder that other users may read: pytest's own they may not even enter."""
    path = Path(tempfile.mkdtemp(prefix="lodestone-read-only-"))
    path.chmod(0o755)
    index = path / "index"
    with FaissDocumentStore(index) as store:
        store.write_documents(
            [
                Document(id=str(n), content=f"word number{n}", meta={"n": n}, embedding=[1.0, float(n)])
                for n in range(20)
            ]
        )
        store.set_root("docs", "/docs")
        store.set_setting("model", "some-model")
        store.touch_sources([SourceRecord("docs", "a.md", 1, 2, "hash", "pipeline", "indexed", None, 20, 3.0)])
    yield index
    for entry in (path, *path.rglob("*")):
        entry.chmod(entry.stat().st_mode | stat.S_IWUSR)
    shutil.rmtree(path)


def forbid_writing(folder: Path) -> None:
    for entry in (folder, *folder.rglob("*")):
        entry.chmod(entry.stat().st_mode & ~0o222)


def files(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*")}


def start(user: list[str], folder: Path) -> "subprocess.Popen[str]":
    environment = {**os.environ, "HOME": tempfile.gettempdir()}
    return subprocess.Popen(
        [*user, sys.executable, "-c", READER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def ask(user: list[str], folder: Path) -> list[str]:
    out, err = start(user, folder).communicate("")
    assert err == ""
    return out.splitlines()


def test_a_read_only_folder_answers_everything_and_stays_as_it_is(user: list[str], folder: Path) -> None:
    forbid_writing(folder)
    before = files(folder)
    lines = ask(user, folder)
    assert lines[:-1] == ANSWERS
    assert lines[-1].startswith("LodestoneError")
    assert "is read-only for this user" in lines[-1]
    assert files(folder) == before


def test_a_read_only_folder_is_read_while_another_user_writes(user: list[str], folder: Path) -> None:
    with FaissDocumentStore(folder) as store:
        store.set_setting("more", "1")  # from here on the database has a log
        folder.chmod(0o555)
        assert ask(user, folder)[:-1] == ANSWERS
        folder.chmod(0o755)


def test_what_the_owner_writes_is_seen_without_opening_again(user: list[str], folder: Path) -> None:
    folder.chmod(0o555)
    (folder / "text").chmod(0o555)
    reader = start(user, folder)
    assert reader.stdout is not None
    assert reader.stdin is not None
    assert [reader.stdout.readline().strip() for _ in ANSWERS] == ANSWERS
    folder.chmod(0o755)
    (folder / "text").chmod(0o755)
    with FaissDocumentStore(folder) as store:
        store.delete_documents(["3", "15"])
        store.write_documents([Document(id="new", content="number7 number7", embedding=[1.0, 3.0])])
    folder.chmod(0o555)
    (folder / "text").chmod(0o555)
    reader.stdin.write("again\n")
    reader.stdin.flush()
    lines = [reader.stdout.readline().strip() for _ in ANSWERS]
    assert lines == ["19 19 4", "new 4", "16", "new 7", "16 17", ANSWERS[-1]]
    reader.communicate("")


def test_a_log_that_cannot_be_merged_is_explained(user: list[str], folder: Path) -> None:
    writer = sqlite3.connect(folder / "passages.sqlite", isolation_level=None)
    writer.execute("INSERT INTO settings VALUES ('more', '1')")
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    writer.close()
    (copy / "passages.sqlite-shm").unlink()
    forbid_writing(copy)
    [line] = ask(user, copy)
    assert line.startswith("ConfigurationError")
    assert "was not closed well" in line
    assert "copy the folder" in line


def test_missing_vectors_are_made_again_in_memory(user: list[str], folder: Path) -> None:
    for name in ("vectors.faiss", "vectors.json"):
        (folder / name).unlink()
    forbid_writing(folder)
    assert ask(user, folder)[:-1] == ANSWERS


def test_a_text_index_that_cannot_be_read_is_explained(folder: Path, user: list[str]) -> None:
    (folder / "text" / "meta.json").write_text("{")
    forbid_writing(folder)
    lines = ask(user, folder)
    assert lines[:3] == ANSWERS[:3]
    assert "search once as a user who may write" in lines[-1]
