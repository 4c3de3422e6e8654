"""Copies of documents in an index that Elasticsearch holds."""

from pathlib import Path

from elasticsearch_server import NewStore
from hostile_converter import HostileConverter
from small_jobs import stages

from lodestone import ElasticsearchStore
from lodestone.indexing import IndexingJob, Report, Settings
from lodestone.indexing.removal import remove


def run(store: ElasticsearchStore, folder: Path) -> Report:
    made = stages(folder / "unused", HostileConverter())
    made.document_store = store
    return IndexingJob(made, settings=Settings(workers=0, batch_files=2)).run([folder], prune=True)


def held(store: ElasticsearchStore) -> dict[str, str]:
    return {str(document.meta["source"]): str(document.content) for document in store.filter_documents()}


def test_copies_are_indexed_once_and_take_over(new_store: NewStore, tmp_path: Path) -> None:
    store, docs = new_store(), tmp_path / "docs"
    docs.mkdir()
    for name, text in {"b": "one", "c": "two", "d": "one", "e": "one"}.items():
        (docs / f"{name}.txt").write_text(text)
    assert len(run(store, docs).duplicates) == 2
    assert held(store) == {"b.txt": "one", "c.txt": "two"}
    assert store.copies("docs", "b.txt") == [("docs", "d.txt"), ("docs", "e.txt")]

    (docs / "a.txt").write_text("one")
    assert run(store, docs).indexed == 1
    assert held(store) == {"a.txt": "one", "c.txt": "two"}
    (docs / "a.txt").write_text("three")
    (docs / "b.txt").unlink()
    assert run(store, docs).indexed == 2
    assert held(store) == {"a.txt": "three", "c.txt": "two", "d.txt": "one"}
    assert remove(store, ["docs/d.txt"]).copies == ["docs/e.txt"]
    assert run(store, docs).indexed == 1
    assert held(store) == {"a.txt": "three", "c.txt": "two", "d.txt": "one"}
    assert [record.state for record in store.sources()] == ["indexed", "indexed", "indexed", "duplicate"]
    assert all(record.seconds > 0 for record in store.sources())
