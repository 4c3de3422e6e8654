"""The text index follows what is written: a little at once, much in the background."""

import json
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from haystack import Document
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lodestone.components.stores import FaissDocumentStore

MANY = 1500

KILLED = textwrap.dedent(
    """
    import os, sys
    from haystack import Document
    from lodestone.components.stores import FaissDocumentStore

    FaissDocumentStore(sys.argv[1]).write_documents([Document(id=str(n), content=f"word{n}") for n in range(1500)])
    os.kill(os.getpid(), 9)
    """
)
READER = textwrap.dedent(
    """
    import sys
    from lodestone.components.stores import FaissDocumentStore

    store = FaissDocumentStore(sys.argv[1])
    for line in sys.stdin:
        print(len(store.bm25_retrieval(line, top_k=5000)), flush=True)
    """
)


def many(first: int, count: int = MANY) -> list[Document]:
    return [Document(id=str(n), content=f"common word{n}") for n in range(first, first + count)]


def indexed(folder: Path) -> int:
    """The last change that the text index on the disk holds."""
    about = folder / "text" / "lodestone.json"
    return int(json.loads(about.read_text())["sequence"]) if about.exists() else 0


def wait_until_indexed(folder: Path, sequence: int) -> None:
    deadline = time.monotonic() + 60
    while indexed(folder) < sequence:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def long_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """The background does not begin while a test runs."""
    monkeypatch.setattr("lodestone.components.stores.pause._PAUSE_SECONDS", 600.0)
    monkeypatch.setattr("lodestone.components.stores.pause._LONGEST_WAIT_SECONDS", 600.0)


@pytest.mark.usefixtures("long_pause")
def test_the_words_of_a_large_write_are_found_at_once_where_it_was_written(tmp_path: Path) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents(many(0))
        assert indexed(tmp_path) == 0  # acknowledged before its words are indexed
        assert len(store.bm25_retrieval("common", top_k=5000)) == MANY


def test_the_words_of_a_large_write_are_found_soon_by_other_processes(tmp_path: Path) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents(many(0))
        wait_until_indexed(tmp_path, MANY)
        reader = subprocess.Popen(
            [sys.executable, "-c", READER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        out, _ = reader.communicate("common\n")
        assert out.strip() == str(MANY)


def test_a_kill_before_the_words_were_indexed_loses_none(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    with FaissDocumentStore(tmp_path) as store:
        assert store.count_documents() == MANY
        for n in (0, 700, MANY - 1):
            assert [document.id for document in store.bm25_retrieval(f"word{n}")] == [str(n)]


@pytest.mark.usefixtures("long_pause")
def test_closing_indexes_what_the_background_has_not(tmp_path: Path) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents(many(0))
    assert indexed(tmp_path) == MANY
    with FaissDocumentStore(tmp_path) as store:
        assert len(store.bm25_retrieval("common", top_k=5000)) == MANY


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    operations=st.lists(
        st.one_of(st.tuples(st.just("write"), st.integers(1, 9)), st.tuples(st.just("delete"), st.integers(0, 40))),
        min_size=1,
        max_size=8,
    ),
    step=st.integers(1, 5),
)
def test_indexing_in_small_steps_gives_what_indexing_at_once_gives(
    tmp_path_factory: pytest.TempPathFactory, operations: list[tuple[str, int]], step: int
) -> None:
    folder = tmp_path_factory.mktemp("steps")
    with pytest.MonkeyPatch.context() as patch, FaissDocumentStore(folder) as store:
        patch.setattr("lodestone.components.stores.text_search._CHANGES_AT_ONCE", 0)
        patch.setattr("lodestone.components.stores.text_search._CHANGES_A_STEP", step)
        patch.setattr("lodestone.components.stores.pause._PAUSE_SECONDS", 0.0)
        present: set[str] = set()
        written = changes = 0
        for name, value in operations:
            if name == "write":
                store.write_documents(many(written, value))
                present |= {str(n) for n in range(written, written + value)}
                written += value
                changes += value
            elif str(value) in present:
                store.delete_documents([str(value)])
                present.remove(str(value))
                changes += 1
        wait_until_indexed(folder, changes)
        assert {document.id for document in store.bm25_retrieval("common", top_k=100)} == present
        store.close()
        import tantivy

        if changes:
            assert tantivy.Index.open(str(folder / "text")).searcher().num_docs == len(present)
