"""Nothing that was acknowledged is lost, whatever happens to the process or to the derived files."""

import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from haystack import Document
from haystack.document_stores.types import DuplicatePolicy

from lodestone.components.errors import ConfigurationError, LodestoneError
from lodestone.components.stores import FaissDocumentStore

BATCH = 20

WRITER = textwrap.dedent(
    """
    import os, sys
    from haystack import Document
    from haystack.document_stores.types import DuplicatePolicy
    from lodestone.components.stores import FaissDocumentStore

    def write(first, acknowledged):
        store = FaissDocumentStore(sys.argv[1])
        for batch in range(first, first + 1000):
            documents = [
                Document(id=f"{batch}-{i}", content=f"b{batch} i{i}", meta={"batch": batch}, embedding=[batch + 1, i])
                for i in range(20)
            ]
            store.write_documents(documents, policy=DuplicatePolicy.OVERWRITE)
            os.write(acknowledged, f"+{batch} ".encode())
            if batch % 3 == 2:
                store.delete_by_filter({"field": "meta.batch", "operator": "==", "value": batch - 1})
                os.write(acknowledged, f"-{batch - 1} ".encode())
            if batch % 4 == 3:
                store.save()

    for line in sys.stdin:  # a child a line, so that the imports are paid for once
        child = os.fork()
        if child == 0:
            write(int(line), os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_TRUNC))
        print(child, flush=True)
        os.waitpid(child, 0)
        print("gone", flush=True)
    """
)

READER = textwrap.dedent(
    """
    import sys
    from lodestone.components.stores import FaissDocumentStore

    store = FaissDocumentStore(sys.argv[1])
    for line in sys.stdin:
        dense = store.embedding_retrieval([1.0, 0.0], top_k=1000) if line.strip() != "count" else []
        words = store.bm25_retrieval("word", top_k=1000)
        print(store.count_documents(), len(dense), len(words), flush=True)
    """
)


def some_documents(count: int, first: int = 0) -> list[Document]:
    return [
        Document(id=str(n), content=f"word number{n}", meta={"n": n}, embedding=[1.0, float(n)])
        for n in range(first, first + count)
    ]


def check_agreement(store: FaissDocumentStore) -> set[str]:
    """SQL, vectors and words know the same documents."""
    ids = {document.id for document in store.filter_documents()}
    assert {document.id for document in store.embedding_retrieval([1.0, 1.0], top_k=100_000)} == ids
    for document in store.filter_documents():
        assert store.bm25_retrieval(document.content or "", top_k=1)[0].id == document.id
    return ids


def start(script: str, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def ask(process: "subprocess.Popen[str]", line: str) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_a_killed_writer_loses_nothing_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    chance = random.Random(7)
    index, acknowledged = tmp_path / "index", tmp_path / "acknowledged"
    written: set[int] = set()
    first = 0
    writer = start(WRITER, str(index), str(acknowledged))
    assert writer.stdout is not None
    for _ in range(8):
        acknowledged.write_text("")
        child = int(ask(writer, str(first)))
        wanted = chance.randint(1, 10)
        wait_for(lambda wanted=wanted: len(acknowledged.read_text().split()) >= wanted)  # type: ignore[misc]
        time.sleep(chance.uniform(0, 0.06))  # into some moment of a write, a delete or a save
        os.kill(child, signal.SIGKILL)
        assert writer.stdout.readline().strip() == "gone"
        lines = acknowledged.read_text().split()
        for line in lines:
            (written.add if line[0] == "+" else written.discard)(int(line[1:]))
        last = max(int(line[1:]) for line in lines if line[0] == "+")
        with FaissDocumentStore(index) as store:
            ids = check_agreement(store)
        batches = {int(identifier.split("-")[0]) for identifier in ids}
        assert len(ids) == BATCH * len(batches)
        # What was under way when the kill came may have been done, or not.
        assert written - batches <= {last - 1}
        assert batches - written <= {last + 1}
        written, first = batches, last + 2
    writer.communicate()


def damage_by_truncation(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damage_by_garbage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 8] = b"\xff\x00garbage"[:8]
    path.write_bytes(content)


def damage_by_removal(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [damage_by_truncation, damage_by_garbage, damage_by_removal])
@pytest.mark.parametrize(
    "pattern", ["vectors.faiss", "vectors.json", "text/*.term", "text/*.idx", "text/meta.json", "text/lodestone.json"]
)
def test_a_damaged_derived_file_is_rebuilt_with_a_warning(
    tmp_path: Path, damage: Callable[[Path], None], pattern: str, caplog: pytest.LogCaptureFixture
) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents(some_documents(40))
    for path in tmp_path.glob(pattern):
        damage(path)
    with FaissDocumentStore(tmp_path) as store:
        assert len(check_agreement(store)) == 40
        store.write_documents(some_documents(5, first=40))
        assert len(check_agreement(store)) == 45
    assert "is rebuilt from the database" in caplog.text
    caplog.clear()
    with FaissDocumentStore(tmp_path) as store:
        assert len(check_agreement(store)) == 45
    assert "rebuilt" not in caplog.text


def test_the_derived_indexes_can_be_thrown_away(tmp_path: Path) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents(some_documents(30))
    shutil.rmtree(tmp_path / "text")
    (tmp_path / "vectors.faiss").unlink()
    (tmp_path / "vectors.json").unlink()
    assert len(check_agreement(FaissDocumentStore(tmp_path))) == 30


def test_the_derived_indexes_of_another_store_are_not_used(tmp_path: Path) -> None:
    for name, first in (("a", 0), ("b", 100)):
        with FaissDocumentStore(tmp_path / name) as store:
            store.write_documents(some_documents(10, first))
    for part in ("vectors.faiss", "vectors.json"):
        shutil.copy(tmp_path / "a" / part, tmp_path / "b" / part)
    shutil.rmtree(tmp_path / "b" / "text")
    shutil.copytree(tmp_path / "a" / "text", tmp_path / "b" / "text")
    with FaissDocumentStore(tmp_path / "b") as store:
        assert check_agreement(store) == {str(n) for n in range(100, 110)}


def test_a_database_put_back_from_an_older_copy_is_followed(tmp_path: Path) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents(some_documents(10))
        store.close()
        shutil.copy(tmp_path / "passages.sqlite", tmp_path / "copy")
        store.write_documents(some_documents(10, first=10))
        store.close()
        shutil.move(tmp_path / "copy", tmp_path / "passages.sqlite")
        assert check_agreement(store) == {str(n) for n in range(10)}
        store.write_documents(some_documents(5, first=50))
        assert check_agreement(store) == {str(n) for n in [*range(10), *range(50, 55)]}


@pytest.mark.parametrize("more", [5, 20])
def test_indexes_that_are_newer_than_the_database_are_not_believed(
    tmp_path: Path, more: int, caplog: pytest.LogCaptureFixture
) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents(some_documents(10))
        store.close()
        shutil.copy(tmp_path / "passages.sqlite", tmp_path / "copy")
        store.write_documents(some_documents(10, first=10))
        store.close()
        shutil.move(tmp_path / "copy", tmp_path / "passages.sqlite")
        # Written before anything looks at the indexes, which have seen these numbers with other passages.
        store.write_documents(some_documents(more, first=50))
        store.close()
        assert "lacks the last 10 changes" in caplog.text
        assert check_agreement(store) == {str(n) for n in [*range(10), *range(50, 50 + more)]}
        assert store.verify().ok


@pytest.mark.parametrize("gone", [True, False])
def test_no_new_store_is_begun_over_the_indexes_of_a_lost_database(tmp_path: Path, gone: bool) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents(some_documents(10))
    path = tmp_path / "passages.sqlite"
    path.unlink() if gone else path.write_bytes(b"")
    with pytest.raises(ConfigurationError, match=r"is damaged .*its search indexes are not.*move the folder away"):
        store.write_documents(some_documents(1))
    assert path.exists() is not gone
    assert store.exists() is not gone


def test_a_log_that_was_cut_off_is_noticed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    acknowledged = tmp_path / "acknowledged"
    writer = start(WRITER, str(tmp_path), str(acknowledged))
    child = int(ask(writer, "0"))
    wait_for(lambda: acknowledged.exists() and len(acknowledged.read_text().split()) > 8)
    os.kill(child, signal.SIGKILL)
    writer.communicate()
    damage_by_truncation(tmp_path / "passages.sqlite-wal")
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents(some_documents(2))
        assert re.search(r"lacks the last \d+ changes .* or the end of passages.sqlite-wal is gone", caplog.text)
        check_agreement(store)
        assert store.verify().ok


@pytest.mark.parametrize("content", [b"no database at all", b"SQLite format 3\x00" + b"\x07" * 5000])
def test_a_file_that_is_no_database_is_refused_with_advice(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "passages.sqlite").write_bytes(content)
    store = FaissDocumentStore(tmp_path)
    for call in (store.count_documents, lambda: store.write_documents(some_documents(1))):
        with pytest.raises(ConfigurationError, match=r"damaged or no SQLite database.*index again"):
            call()
    assert (tmp_path / "passages.sqlite").read_bytes() == content
    store.close()


def test_the_database_of_another_program_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "passages.sqlite") as connection:
        connection.execute("CREATE TABLE recipes (name)")
    with pytest.raises(ConfigurationError, match="another program"):
        FaissDocumentStore(tmp_path).write_documents(some_documents(1))


def test_a_second_writing_process_is_refused_and_told_who_writes(tmp_path: Path) -> None:
    acknowledged = tmp_path / "acknowledged"
    writer = start(WRITER, str(tmp_path), str(acknowledged))
    child = int(ask(writer, "0"))
    wait_for(lambda: acknowledged.exists() and acknowledged.read_text() != "")
    with pytest.raises(LodestoneError, match=rf"written to by process {child} on \S+ since \d{{4}}-"):
        FaissDocumentStore(tmp_path).write_documents(some_documents(1))
    os.kill(child, signal.SIGKILL)
    writer.communicate()
    with FaissDocumentStore(tmp_path) as store:
        assert store.write_documents(some_documents(1)) == 1


def test_a_reading_process_sees_what_another_writes_without_opening_again(tmp_path: Path) -> None:
    with FaissDocumentStore(tmp_path) as store:
        reader = start(READER, str(tmp_path))
        assert ask(reader, "search") == "0 0 0"
        store.write_documents(some_documents(10))
        assert ask(reader, "search") == "10 10 10"
        store.write_documents(some_documents(10, first=10))
        store.delete_documents(["0", "1"])
        assert ask(reader, "search") == "18 18 18"
        store.close()
        store.write_documents([Document(id="19", content="other text")], policy=DuplicatePolicy.OVERWRITE)
        assert ask(reader, "search") == "18 17 17"
        reader.communicate()


def test_a_reader_brings_the_text_index_up_to_date_when_the_writer_is_gone(tmp_path: Path) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents(some_documents(10))
        store.close()
        shutil.copytree(tmp_path / "text", tmp_path / "old")
        store.write_documents(some_documents(10, first=10))
    shutil.rmtree(tmp_path / "text")
    (tmp_path / "old").rename(tmp_path / "text")
    reader = start(READER, str(tmp_path))
    assert ask(reader, "count") == "20 0 20"
    with FaissDocumentStore(tmp_path) as store:
        assert store.write_documents(some_documents(1, first=30)) == 1  # the reader has let go of the lock
        assert ask(reader, "search") == "21 21 21"
    reader.communicate()


def test_a_reader_saves_the_vectors_that_a_killed_writer_did_not(tmp_path: Path) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents(some_documents(10))
    (tmp_path / "vectors.faiss").unlink()
    (tmp_path / "vectors.json").unlink()
    with FaissDocumentStore(tmp_path) as store:
        assert len(store.embedding_retrieval([1.0, 0.0], top_k=100)) == 10
    assert (tmp_path / "vectors.faiss").exists()
    with FaissDocumentStore(tmp_path) as store:
        assert len(check_agreement(store)) == 10


@pytest.mark.parametrize("damage", [damage_by_truncation, damage_by_garbage])
def test_a_damaged_database_is_refused_with_advice(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents(some_documents(500))
    content = bytearray((tmp_path / "passages.sqlite").read_bytes())
    if damage is damage_by_truncation:
        damage(tmp_path / "passages.sqlite")
    else:
        content[4096:] = b"\xab" * (len(content) - 4096)
        (tmp_path / "passages.sqlite").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"damaged or no SQLite database.*index again"):
        FaissDocumentStore(tmp_path).filter_documents()


def test_a_failed_batch_leaves_nothing(tmp_path: Path) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents(some_documents(3))
        for bad in (
            Document(id="x", embedding=[1.0, 2.0, 3.0]),
            Document(id="x", embedding=[1.0, float("nan")]),
            Document(id="x", meta={"object": object()}),
        ):
            with pytest.raises(ConfigurationError, match="'x'"):
                store.write_documents([*some_documents(3, first=10), bad])
        assert check_agreement(store) == {"0", "1", "2"}


def test_two_objects_of_one_folder_share_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one, other = FaissDocumentStore("index"), FaissDocumentStore(tmp_path / "x" / ".." / "index")
    one.write_documents(some_documents(5))
    assert check_agreement(other) == {str(n) for n in range(5)}
    other.delete_documents(["0"])
    assert len(check_agreement(one)) == 4
    with pytest.raises(ConfigurationError, match="similarity 'cosine', not 'dot_product'"):
        FaissDocumentStore("index", similarity="dot_product").count_documents()
    one.close()
    assert other.count_documents() == 4
    other.close()
    with pytest.raises(ConfigurationError, match="language 'english', not 'german'"):
        FaissDocumentStore("index", language="german").count_documents()
    with pytest.raises(ConfigurationError, match="embedding_dim '2', not '3'"):
        FaissDocumentStore("index", embedding_dim=3).count_documents()


def test_a_folder_that_is_deleted_and_made_again_is_a_new_store(tmp_path: Path) -> None:
    store = FaissDocumentStore(tmp_path / "index")
    store.write_documents(some_documents(5))
    shutil.rmtree(tmp_path / "index")
    assert store.count_documents() == 0
    assert store.embedding_retrieval([1.0, 0.0]) == []
    store.write_documents(some_documents(2))
    assert len(check_agreement(store)) == 2
    store.close()


def test_constructing_and_reading_create_nothing(tmp_path: Path) -> None:
    store = FaissDocumentStore(tmp_path / "index")
    assert not store.exists()
    assert store.count_documents() == 0
    assert store.filter_documents() == []
    assert store.bm25_retrieval("word") == []
    assert store.embedding_retrieval([1.0]) == []
    assert store.source_text("x") is None
    assert list(store.sources()) == []
    assert store.statistics()["passages"] == 0
    store.delete_documents(["1"])
    store.delete_all_documents()
    store.close()
    assert not (tmp_path / "index").exists()


def test_the_saved_index_says_what_it_holds(tmp_path: Path) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents(some_documents(5))
        store.delete_documents(["3"])
    about = json.loads((tmp_path / "vectors.json").read_text())
    assert (about["vectors"], about["dim"], about["sequence"]) == (4, 2, 6)
    assert not (tmp_path / "writer.json").exists()


def test_text_that_was_committed_before_a_kill_is_not_indexed_twice_nor_kept_when_deleted(tmp_path: Path) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents(some_documents(3))
        about = (tmp_path / "text" / "lodestone.json").read_text()
        store.write_documents(some_documents(3, first=3))
        store.save()
        # As if the kill had come between tantivy's commit and the note of it.
        (tmp_path / "text" / "lodestone.json").write_text(about)
        shutil.rmtree(tmp_path / "kept", ignore_errors=True)
        shutil.copytree(tmp_path / "text", tmp_path / "kept")
        store.delete_documents(["3"])
        store.close()
        shutil.rmtree(tmp_path / "text")
        (tmp_path / "kept").rename(tmp_path / "text")
        assert len(check_agreement(store)) == 5
        assert len(store.bm25_retrieval("word", top_k=100)) == 5
    import tantivy

    assert tantivy.Index.open(str(tmp_path / "text")).searcher().num_docs == 5


def test_importing_and_constructing_load_no_heavy_library() -> None:
    script = (
        "import sys; from lodestone.components.retrievers import FaissHybridRetriever as R; "
        "from lodestone.components.stores import FaissDocumentStore as S; R(S('x')); "
        "print([name for name in ('faiss', 'tantivy', 'transformers') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout.strip() == "[]"


def test_files_that_a_killed_writer_began_are_not_in_the_way(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents(some_documents(8))
        store.close()
        shutil.copytree(tmp_path / "text", tmp_path / "before")
        store.delete_documents(["3"])
        store.save()
        # As if the kill had come when tantivy had written which passages are deleted, and not yet that it has.
        for path in (tmp_path / "text").glob("*.del"):
            shutil.copy(path, tmp_path / "before")
        (tmp_path / "before" / ".tmpAbCdEf").write_text("half a fi")
        store.close()
        shutil.rmtree(tmp_path / "text")
        (tmp_path / "before").rename(tmp_path / "text")
        assert len(list((tmp_path / "text").glob("*.del"))) == 1
        assert len(check_agreement(store)) == 7
        store.write_documents(some_documents(1, first=20))
        assert store.verify().ok
        assert list((tmp_path / "text").glob(".tmp*")) == []
    assert caplog.text == ""
