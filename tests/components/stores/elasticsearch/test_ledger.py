"""The ledger of files in Elasticsearch."""

import json
import threading

import pytest
from elasticsearch_server import NewStore
from haystack import Document

from lodestone import ElasticsearchStore
from lodestone.components.errors import ConfigurationError
from lodestone.components.stores import SourceRecord, SourceText


def record(path: str, root: str = "docs", state: str = "indexed", **changed: object) -> SourceRecord:
    values = {"size": 3, "mtime_ns": 10**18 + 1, "content_hash": "h", "pipeline": "p", "error": None, "passages": 1}
    return SourceRecord(root=root, path=path, state=state, indexed_at=1.5, **(values | changed))  # type: ignore[arg-type]


def passage(identifier: str, path: str, content: str = "word", root: str = "docs") -> Document:
    return Document(id=identifier, content=content, meta={"root": root, "source": path}, embedding=[1.0, 0.5])


def ids(store: ElasticsearchStore) -> set[str]:
    return {document.id for document in store.filter_documents()}


def test_a_file_is_written_with_its_texts_and_read_back(store: ElasticsearchStore) -> None:
    assert not store.exists()
    assert (list(store.sources()), store.roots(), store.get_setting("a"), store.source_text("t")) == (
        [],
        {},
        None,
        None,
    )
    text = "A long text. " * 1000 + "\ud800"
    store.write_sources(
        [
            (record("b/ü.txt"), [SourceText("t", text, {"title": "T"})], [passage("1", "b/ü.txt")]),
            (record("a.txt", state="failed", error="empty", passages=0), [], []),
        ]
    )
    store.save()
    assert list(store.sources()) == [
        record("a.txt", state="failed", error="empty", passages=0),
        record("b/ü.txt"),
    ]
    assert [one.path for one in store.sources("docs", "b/")] == ["b/ü.txt"]
    assert list(store.sources("other")) == []
    assert store.source_text("t") == text.replace("\ud800", "\ufffd")
    figures = store.statistics()
    assert (figures["passages"], figures["vectors"], figures["documents"], figures["dim"]) == (1, 1, 1, 2)
    assert figures["sources"] == {"failed": 1, "indexed": 1}
    assert figures["last_sources"] == [["docs", "b/ü.txt", 1.5]]
    assert figures["bytes"].keys() == {"passages", "ledger"}
    assert all(size > 0 for size in figures["bytes"].values())


def test_what_a_changed_file_left_behind_goes(store: ElasticsearchStore) -> None:
    texts = [SourceText("old", "old", {}), SourceText("kept", "kept", {})]
    store.write_source(record("a.txt"), texts, [passage("1", "a.txt"), passage("2", "a.txt"), passage("x", "a.txt")])
    store.write_source(record("b.txt"), [SourceText("b", "b", {})], [passage("3", "b.txt")])
    store.save()
    store.write_source(record("a.txt", content_hash="new"), texts[1:], [passage("2", "a.txt"), passage("4", "a.txt")])
    store.save()
    assert ids(store) == {"2", "3", "4"}
    assert store.source_text("old") is None
    assert store.source_text("kept") == "kept"
    assert {one.path: one.content_hash for one in store.sources()} == {"a.txt": "new", "b.txt": "h"}


def test_what_a_killed_run_left_of_a_file_goes_too(new_store: NewStore, store: ElasticsearchStore) -> None:
    # Passages without a row in the ledger, and not yet visible to searches.
    store.write_documents([passage("half", "a.txt")], refresh=False)
    other = new_store(store.index)
    other.write_source(record("a.txt"), [], [passage("whole", "a.txt")])
    other.save()
    assert ids(other) == {"whole"}


def test_a_file_that_is_written_twice_before_a_refresh_is_there_once(store: ElasticsearchStore) -> None:
    for number in range(3):
        store.write_source(record("a.txt"), [], [passage(str(number), "a.txt")])
    store.save()
    assert ids(store) == {"2"}


def test_a_file_that_elasticsearch_refuses_fails_alone(store: ElasticsearchStore) -> None:
    store.write_source(record("bad.txt"), [SourceText("t", "old", {})], [passage("old", "bad.txt")])
    far = Document(id="far", meta={"root": "docs", "source": "bad.txt"}, embedding=[3e38, 3e38])
    refused = store.write_sources(
        [
            (record("a.txt"), [], [passage("1", "a.txt")]),
            (record("bad.txt", passages=2), [SourceText("t", "new", {})], [passage("2", "bad.txt"), far]),
        ]
    )
    store.save()
    assert list(refused) == [("docs", "bad.txt")]
    assert "magnitude" in refused["docs", "bad.txt"]
    rows = {one.path: (one.state, one.passages) for one in store.sources()}
    assert rows == {"a.txt": ("indexed", 1), "bad.txt": ("failed", 0)}
    assert ids(store) == {"1"}
    assert store.source_text("t") is None


def test_a_changed_file_is_never_missing_from_searches(store: ElasticsearchStore) -> None:
    store.write_source(record("a.txt"), [], [passage("0", "a.txt")])
    store.save()
    counts, done = [], threading.Event()

    def watch() -> None:
        while not done.is_set():
            counts.append(len(store.bm25_retrieval("word")))

    watcher = threading.Thread(target=watch)
    watcher.start()
    for number in range(1, 15):
        store.write_source(record("a.txt"), [], [passage(str(number), "a.txt")])
        store.save()
    done.set()
    watcher.join()
    assert len(counts) > 10
    assert min(counts) == 1
    assert ids(store) == {"14"}


def test_files_are_deleted_with_their_passages(store: ElasticsearchStore) -> None:
    assert store.delete_sources([("docs", "a.txt")]) == 0
    for root in ("docs", "more"):
        store.write_source(
            record("a.txt", root),
            [SourceText(root, "t", {})],
            [passage(root, "a.txt", root=root), passage(root + "2", "a.txt", root=root)],
        )
    assert store.delete_sources([("docs", "a.txt"), ("docs", "never.txt")]) == 2
    assert ids(store) == {"more", "more2"}
    assert [(one.root, one.path) for one in store.sources()] == [("more", "a.txt")]
    assert (store.source_text("docs"), store.source_text("more")) == (None, "t")
    store.delete_all_documents()
    assert (ids(store), list(store.sources())) == (set(), [])


def test_roots_and_settings_are_kept_also_by_several_writers(new_store: NewStore, store: ElasticsearchStore) -> None:
    store.set_setting("embedding_model", "m")
    others = [new_store(store.index) for _ in range(4)]
    threads = [
        threading.Thread(target=other.set_root, args=(f"root{number}", f"/path/{number}"))
        for number, other in enumerate(others)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.forget_root("root1")
    store.forget_root("never")
    assert store.roots() == {f"root{number}": f"/path/{number}" for number in (0, 2, 3)}
    assert store.get_setting("embedding_model") == "m"


def test_settings_are_listed_also_those_of_older_versions_and_large_ones(
    new_store: NewStore, store: ElasticsearchStore
) -> None:
    assert store.settings("") == {}
    store.forget_setting("never")
    assert not store.exists()
    store.set_root("docs", "/docs")
    state = json.dumps({"roots": {"docs": "/docs"}, "settings": {"job:0": "old", "model": "m"}})
    store.client.index(index=f"{store.index}-ledger", id="state", document={"kind": "state", "state": state})
    store.set_setting("job:2", "x" * 100_000)
    store.set_setting("job:1", "one")
    other = new_store(store.index)
    assert other.settings("job:") == {"job:0": "old", "job:1": "one", "job:2": "x" * 100_000}
    assert (other.get_setting("model"), other.get_setting("job:1"), other.get_setting("none")) == ("m", "one", None)
    other.set_setting("model", "new")
    for key in ("job:0", "job:1", "never"):
        store.forget_setting(key)
    assert store.settings("").keys() == {"job:2", "model"}
    assert (store.get_setting("model"), store.roots()) == ("new", {"docs": "/docs"})


def test_touching_changes_the_row_only(store: ElasticsearchStore) -> None:
    store.write_source(record("a.txt"), [SourceText("t", "text", {})], [passage("1", "a.txt")])
    store.touch_sources([record("a.txt", mtime_ns=7)])
    store.save()
    assert [one.mtime_ns for one in store.sources()] == [7]
    assert (ids(store), store.source_text("t")) == ({"1"}, "text")


def test_wrong_files_are_refused_before_anything_is_written(store: ElasticsearchStore) -> None:
    with pytest.raises(ConfigurationError, match="they must name the file that it is written for"):
        store.write_source(record("a.txt"), [], [passage("1", "b.txt")])
    with pytest.raises(ConfigurationError, match="not valid UTF-8"):
        store.write_source(record("\udcff.txt"), [], [])
    other = Document(id="2", embedding=[1.0], meta={"root": "docs", "source": "a.txt"})
    with pytest.raises(ConfigurationError, match="has an embedding of 1 dimensions, expected 2"):
        store.write_source(record("a.txt"), [], [passage("1", "a.txt"), other])
    assert not store.exists()


def test_more_files_than_one_page_are_listed_in_order(store: ElasticsearchStore) -> None:
    paths = [f"{number:05}.txt" for number in range(2500)]
    store.touch_sources([record(path) for path in reversed(paths)])
    assert [one.path for one in store.sources()] == paths


def test_copies_are_the_other_files_with_the_same_identity(store: ElasticsearchStore) -> None:
    assert (store.source("docs", "a.txt"), store.copies("docs", "a.txt")) == (None, [])
    owner = record("a.txt", identity="i", seconds=0.25)
    copy = record("z.txt", "other", state="duplicate", identity="i", passages=0)
    store.write_sources([(owner, [], [passage("1", "a.txt")]), (copy, [], []), (record("b.txt"), [], [])])
    assert (store.source("docs", "a.txt"), store.source("docs", "none")) == (owner, None)
    store.save()
    assert store.copies("docs", "a.txt") == [("other", "z.txt")]
    assert store.copies("other", "z.txt") == [("docs", "a.txt")]
    assert store.copies("docs", "b.txt") == []
    assert store.statistics()["sources"] == {"duplicate": 1, "indexed": 2}


def test_only_indexed_files_are_listed_as_such(store: ElasticsearchStore) -> None:
    store.write_sources([(record("a.txt", state="failed", error="empty"), [], []), (record("b.txt"), [], [])])
    figures = store.statistics()
    assert figures["last_sources"] == [["docs", "b.txt", 1.5]]
    assert figures["sources"] == {"failed": 1, "indexed": 1}


def test_a_ledger_of_an_earlier_version_gets_what_it_lacks(new_store: NewStore) -> None:
    from lodestone.components.stores.elasticsearch import mapping

    store = new_store()
    wanted = mapping.LEDGER_MAPPINGS["properties"]
    earlier = {name: kind for name, kind in wanted.items() if name not in ("seconds", "identity")}
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(mapping.LEDGER_MAPPINGS, "properties", earlier)
        store.write_sources([(record("a.txt"), [], [])])
    store.save()
    row = store.client.search(index=f"{store.index}-ledger", query={"term": {"kind": "source"}})["hits"]["hits"][0]
    stored = {name: value for name, value in row["_source"].items() if name not in ("seconds", "identity")}
    store.client.index(index=f"{store.index}-ledger", id=row["_id"], document=stored, refresh=True)
    later = new_store(store.index)
    assert list(later.sources()) == [record("a.txt")]
    later.write_sources([(record("a.txt", identity="i"), [], []), (record("b.txt", identity="i"), [], [])])
    later.save()
    assert later.copies("docs", "a.txt") == [("docs", "b.txt")]
