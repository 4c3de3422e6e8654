"""The ledger: files, their texts and passages change together or not at all."""

from dataclasses import replace
from pathlib import Path

import pytest
from haystack import Document

from lodestone.components.errors import ConfigurationError
from lodestone.components.stores import FaissDocumentStore, SourceRecord, SourceText


def record(path: str, root: str = "docs", **changes: object) -> SourceRecord:
    base = SourceRecord(root, path, 10, 20, "hash", "pipeline", "indexed", None, 2, 1.5)
    return replace(base, **changes)  # type: ignore[arg-type]


def passage(path: str, n: int, content: str = "word", root: str = "docs") -> Document:
    meta = {"root": root, "source": path, "source_id": f"{root}/{path}#text", "split_id": n}
    return Document(id=f"{root}/{path}#{n}", content=content, meta=meta, embedding=[1.0, float(n)])


def text(path: str, content: str = "the whole text", root: str = "docs") -> SourceText:
    return SourceText(f"{root}/{path}#text", content, {"title": "T"})


@pytest.fixture
def store(tmp_path: Path) -> FaissDocumentStore:
    store = FaissDocumentStore(tmp_path)
    store.write_sources(
        [
            (record("a.txt"), [text("a.txt")], [passage("a.txt", n) for n in range(3)]),
            (record("b/c.txt"), [text("b/c.txt")], [passage("b/c.txt", n) for n in range(2)]),
            (record("a.txt", "other"), [text("a.txt", "another", "other")], [passage("a.txt", 0, root="other")]),
        ]
    )
    return store


def ids(store: FaissDocumentStore) -> list[str]:
    return sorted(document.id for document in store.embedding_retrieval([1.0, 0.0], top_k=100))


def test_a_file_is_replaced_as_a_whole(store: FaissDocumentStore) -> None:
    new = [passage("a.txt", 0), passage("a.txt", 1, "changed"), passage("a.txt", 7)]
    store.write_source(record("a.txt", content_hash="new"), [text("a.txt", "new text")], new)
    mine = ["docs/a.txt#0", "docs/a.txt#1", "docs/a.txt#7"]
    assert ids(store) == [*mine, "docs/b/c.txt#0", "docs/b/c.txt#1", "other/a.txt#0"]
    assert [document.id for document in store.bm25_retrieval("changed")] == ["docs/a.txt#1"]
    assert store.source_text("docs/a.txt#text") == "new text"
    assert store.source_text("other/a.txt#text") == "another"
    assert next(store.sources("docs")).content_hash == "new"


def test_an_unchanged_passage_is_left_as_it_is(store: FaissDocumentStore) -> None:
    order = [document.id for document in store.filter_documents()]
    changed = [passage("a.txt", 0), replace(passage("a.txt", 1), embedding=[3.0, 4.0]), passage("a.txt", 2)]
    store.write_source(record("a.txt"), [text("a.txt")], changed)
    order.remove("docs/a.txt#1")
    assert [document.id for document in store.filter_documents()] == [*order, "docs/a.txt#1"]


def test_a_failed_write_changes_nothing(store: FaissDocumentStore) -> None:
    before = store.filter_documents()
    wrong_file = passage("b/c.txt", 5)
    wrong_dim = replace(passage("a.txt", 9), embedding=[1.0])
    for bad in (wrong_file, wrong_dim):
        with pytest.raises(ConfigurationError):
            store.write_sources(
                [(record("new.txt"), [], [passage("new.txt", 0)]), (record("a.txt"), [], [passage("a.txt", 0), bad])]
            )
    assert store.filter_documents() == before
    assert len(list(store.sources())) == 3


def test_deleting_files_deletes_all_that_was_of_them(store: FaissDocumentStore) -> None:
    assert store.delete_sources([("docs", "a.txt"), ("docs", "missing"), ("docs", "a.txt")]) == 3
    assert ids(store) == ["docs/b/c.txt#0", "docs/b/c.txt#1", "other/a.txt#0"]
    assert store.source_text("docs/a.txt#text") is None
    assert [(source.root, source.path) for source in store.sources()] == [("docs", "b/c.txt"), ("other", "a.txt")]


def test_touching_a_file_changes_its_record_only(store: FaissDocumentStore) -> None:
    store.touch_sources([record("a.txt", mtime_ns=99)])
    assert next(store.sources()).mtime_ns == 99
    assert len(ids(store)) == 6
    assert store.source_text("docs/a.txt#text") == "the whole text"


def test_sources_are_found_by_root_and_prefix(store: FaissDocumentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lodestone.components.stores.ledger._PAGE", 2)
    failed = record("z%.txt", state="failed", error="encrypted", passages=0)
    store.write_source(failed, [], [])
    assert [(source.root, source.path) for source in store.sources()] == [
        ("docs", "a.txt"),
        ("docs", "b/c.txt"),
        ("docs", "z%.txt"),
        ("other", "a.txt"),
    ]
    assert [source.path for source in store.sources("docs", "b/")] == ["b/c.txt"]
    assert list(store.sources("docs", "z%")) == [failed]
    assert list(store.sources("docs", "%")) == []
    assert store.statistics()["sources"] == {"failed": 1, "indexed": 3}


def test_a_file_name_that_is_not_utf_8_is_refused(store: FaissDocumentStore) -> None:
    with pytest.raises(ConfigurationError, match="not valid UTF-8"):
        store.write_source(record("bad\udcff.txt"), [], [])


def test_deleting_all_documents_forgets_the_files(store: FaissDocumentStore) -> None:
    store.delete_all_documents()
    assert list(store.sources()) == []
    assert store.source_text("docs/a.txt#text") is None
    assert ids(store) == []


def test_roots_and_settings_are_kept(store: FaissDocumentStore, tmp_path: Path) -> None:
    store.set_root("docs", "/data/docs")
    store.set_root("docs", "/data/new")
    store.set_setting("embedding_model", "mini")
    store.close()
    assert store.roots() == {"docs": "/data/new"}
    assert store.get_setting("embedding_model") == "mini"
    assert store.get_setting("missing") is None


def test_settings_are_listed_by_the_beginning_of_their_keys(store: FaissDocumentStore, tmp_path: Path) -> None:
    for key in ("job:2", "job:1", "jobs", "Job:3", "job%", "jöb"):
        store.set_setting(key, key.upper())
    store.forget_setting("job:2")
    store.forget_setting("never")
    assert store.settings("job:") == {"job:1": "JOB:1"}
    assert store.settings("").keys() == {"job:1", "jobs", "Job:3", "job%", "jöb"}
    assert FaissDocumentStore(str(tmp_path / "none")).settings("") == {}


def test_the_statistics_say_what_is_there(store: FaissDocumentStore) -> None:
    store.close()
    statistics = store.statistics()
    assert statistics["last_write"] > 1_700_000_000
    assert all(statistics["bytes"][part] > 0 for part in ("database", "vectors", "text"))
    del statistics["last_write"], statistics["bytes"]
    assert statistics == {
        "passages": 6,
        "documents": 3,
        "vectors": 6,
        "sources": {"indexed": 3},
        "index_type": "flat",
        "recall": 1.0,
        "dim": 2,
        "similarity": "cosine",
        "language": "english",
        "last_sources": [["docs", "a.txt", 1.5], ["docs", "b/c.txt", 1.5], ["other", "a.txt", 1.5]],
    }


def test_copies_are_the_other_files_with_the_same_identity(store: FaissDocumentStore) -> None:
    store.touch_sources(
        [
            record("z.txt", identity="i", state="duplicate", passages=0),
            record("a.txt", identity="i", seconds=0.25),
            record("a.txt", "other", identity="i", state="duplicate"),
            record("b/c.txt"),
            record("c.txt"),
        ]
    )
    assert store.copies("docs", "a.txt") == [("docs", "z.txt"), ("other", "a.txt")]
    assert store.copies("other", "a.txt") == [("docs", "a.txt"), ("docs", "z.txt")]
    assert store.copies("docs", "b/c.txt") == []
    assert store.copies("docs", "none.txt") == []
    assert store.source("docs", "a.txt") == record("a.txt", identity="i", seconds=0.25)
    assert store.source("docs", "none.txt") is None
    assert FaissDocumentStore(str(store.path) + "-none").copies("docs", "a.txt") == []
