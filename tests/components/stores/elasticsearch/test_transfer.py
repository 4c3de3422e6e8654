"""Exports and imports, between stores of either kind."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from elasticsearch_server import NewStore
from haystack import Document
from haystack.dataclasses import ByteStream, SparseEmbedding

from lodestone import ElasticsearchStore, FaissDocumentStore
from lodestone.components.errors import ConfigurationError, LodestoneError
from lodestone.components.stores import SourceRecord, SourceText
from lodestone.components.stores.elasticsearch.bulk import BulkWriter
from lodestone.indexing import IndexingJob
from lodestone.indexing.settings import Settings
from lodestone.pipelines import load_pipeline
from lodestone.pipelines.stages import cut_at_embedder

Run = Callable[..., Any]


def record(path: str, passages: int) -> SourceRecord:
    return SourceRecord("docs", path, 10, 20, "hash", "pipeline", "indexed", None, passages, 1.5)


def fill(store: FaissDocumentStore | ElasticsearchStore) -> None:
    """Two files with passages, a file without any, a document of no file, roots and settings."""
    for path in ("a.md", "b.md"):
        meta: dict[str, Any] = {"root": "docs", "source": path, "source_id": path, "headings": ["Über"], "n": 2**70}
        passages = [
            Document(id=f"{path}-{n}", content=f"{path} {n}", meta={**meta, "split_id": n}, embedding=[0.1, n, 0.5])
            for n in range(3)
        ]
        store.write_sources([(record(path, 3), [SourceText(path, f"text of {path}", {"page": 1})], passages)])
    store.write_sources([(record("empty.md", 0), [], [])])
    special = Document(
        id="alone", blob=ByteStream(b"\x00\xff", meta={"x": 1}, mime_type="a/b"), score=0.25,
        sparse_embedding=SparseEmbedding([1], [0.5]),
    )  # fmt: skip
    store.write_documents([special])
    store.set_root("docs", "/docs")
    store.set_setting("embedding_model", "some model")
    store.save()


def held(store: FaissDocumentStore | ElasticsearchStore) -> dict[str, Any]:
    """All that a store holds."""
    return {
        "passages": {document.id: document.to_dict() for document in store.filter_documents()},
        "sources": list(store.sources()),
        "texts": {path: store.source_text(path) for path in ("a.md", "b.md")},
        "roots": store.roots(),
        "setting": store.get_setting("embedding_model"),
    }


def lines_of(path: Path) -> list[str]:
    return sorted(path.read_text().splitlines())


def test_an_export_goes_from_either_store_to_either_and_stays_the_same(new_store: NewStore, tmp_path: Path) -> None:
    first, second = new_store(), new_store()
    with FaissDocumentStore(tmp_path / "one") as folder, FaissDocumentStore(tmp_path / "two") as other:
        fill(folder)
        counts = folder.export_to(tmp_path / "1.jsonl")
        assert first.import_from(tmp_path / "1.jsonl") == counts
        assert first.export_to(tmp_path / "2.jsonl") == counts
        assert second.import_from(tmp_path / "2.jsonl") == counts
        second.export_to(tmp_path / "3.jsonl")
        assert other.import_from(tmp_path / "3.jsonl") == counts
        assert held(folder) == held(first) == held(second) == held(other)
    # Only the order is another: Elasticsearch has none.
    assert lines_of(tmp_path / "1.jsonl") == lines_of(tmp_path / "2.jsonl") == lines_of(tmp_path / "3.jsonl")
    assert [one.state for one in first.generations()] == ["serving"]


def test_an_import_takes_the_place_of_an_empty_index_only(new_store: NewStore, tmp_path: Path) -> None:
    with FaissDocumentStore(tmp_path / "one") as folder:
        fill(folder)
        folder.export_to(tmp_path / "1.jsonl")
    store = new_store()
    store.set_setting("some", "thing")
    store.import_from(tmp_path / "1.jsonl")
    assert [one.state for one in store.generations()] == ["old", "serving"]
    with pytest.raises(ConfigurationError, match="is not empty: import into another index"):
        store.import_from(tmp_path / "1.jsonl")
    assert store.count_documents() == 7


def test_a_wrong_export_is_refused_and_leaves_nothing(new_store: NewStore, tmp_path: Path) -> None:
    with FaissDocumentStore(tmp_path / "one") as folder:
        fill(folder)
        folder.export_to(tmp_path / "1.jsonl")
    store, path = new_store(), tmp_path / "1.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    for wrong, message in (
        (lines[:-1], r"1.jsonl was cut off after line 11: .*nothing was imported"),
        ([], r"1.jsonl was cut off after line 0"),
        (["[]\n", *lines[1:]], r"1.jsonl:1: must be a JSON object"),
        ([*lines[:3], "{nope\n", *lines[3:]], r"1.jsonl:4: not JSON"),
    ):
        path.write_text("".join(wrong))
        with pytest.raises(ConfigurationError, match=message):
            store.import_from(path)
    path.write_text("".join(lines))
    with pytest.raises(ConfigurationError, match=r"1.jsonl is of a store with language 'english', not 'german'"):
        new_store(language="german").import_from(path)
    with pytest.raises(LodestoneError, match=r"missing\.jsonl cannot be read"):
        store.import_from(tmp_path / "missing.jsonl")
    assert not store.exists()
    assert store.generations() == []


def test_an_import_that_fails_half_way_leaves_nothing(
    new_store: NewStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaissDocumentStore(tmp_path / "one") as folder:
        fill(folder)
        folder.export_to(tmp_path / "1.jsonl")
    store, write = new_store(), BulkWriter.write

    def fail_at_the_ledger(writer: BulkWriter, actions: Any) -> Any:
        listed = list(actions)
        if listed and listed[0].index.endswith("-ledger"):
            raise LodestoneError("the cluster is gone")
        return write(writer, listed)

    monkeypatch.setattr(BulkWriter, "write", fail_at_the_ledger)
    with pytest.raises(LodestoneError, match="the cluster is gone"):
        store.import_from(tmp_path / "1.jsonl")
    monkeypatch.setattr(BulkWriter, "write", write)
    assert store.generations() == []
    assert store.import_from(tmp_path / "1.jsonl").passages == 7


def test_an_index_that_is_being_built_is_not_replaced(new_store: NewStore, tmp_path: Path) -> None:
    with FaissDocumentStore(tmp_path / "one") as folder:
        fill(folder)
        folder.export_to(tmp_path / "1.jsonl")
    store = new_store()
    new_store(f"{store.index}-next").set_setting("half", "done")
    with pytest.raises(
        ConfigurationError, match=rf"being built .*DELETE {store.index}-000001,{store.index}-000001-led"
    ):
        store.import_from(tmp_path / "1.jsonl")


def test_an_index_that_moved_is_up_to_date_for_the_other_pipeline(
    new_store: NewStore, tmp_path: Path, elasticsearch_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELASTICSEARCH_URL", elasticsearch_url)
    store = new_store()
    (tmp_path / "texts").mkdir()
    for name in ("one.txt", "two.md"):
        (tmp_path / "texts" / name).write_text(f"A text of {name[:3]} line.\n")
    reports = []
    for definition, index in (("indexing_faiss", tmp_path / "index"), ("indexing_elasticsearch", store.index)):
        stages = cut_at_embedder(load_pipeline(definition, index=index))
        stages.embedder = None
        if definition == "indexing_elasticsearch":
            store.import_from(tmp_path / "1.jsonl")
        reports.append(IndexingJob(stages, settings=Settings(workers=0)).run([tmp_path / "texts"]))
        if definition == "indexing_faiss":
            stages.document_store.export_to(tmp_path / "1.jsonl")
        stages.document_store.close()
    assert [(report.indexed, report.unchanged) for report in reports] == [(2, 0), (0, 2)]
    assert {document.content for document in store.bm25_retrieval("two line")} == {
        "A text of one line.",
        "A text of two line.",
    }


def test_the_commands_say_what_to_do_where_the_passages_are_in_elasticsearch(
    lodestone: Run, new_store: NewStore, tmp_path: Path, elasticsearch_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELASTICSEARCH_URL", elasticsearch_url)
    store, other = new_store(), new_store()
    fill(store)
    there = ("--pipeline", "query_elasticsearch", "--index")
    for verb, advice in (("compact", "_forcemerge"), ("verify", "_cluster/health"), ("rebuild", "--swap")):
        shown = lodestone("store", verb, *there, store.index)
        assert shown.code == 2
        assert advice in shown.err
    exported = lodestone("store", "export", tmp_path / "1.jsonl", *there, store.index, "--json")
    assert json.loads(exported.out)["passages"] == 7
    assert "--salvage reads a damaged folder" in lodestone(
        "store", "export", "-", *there, store.index, "--salvage"
    ).err.replace("\n", " ")
    imported = lodestone("store", "import", tmp_path / "1.jsonl", *there, other.index)
    assert "Imported 7 passages and 3 files" in imported.out
    listed = json.loads(lodestone("store", "indices", "--index", other.index, "--json").out)["indices"]
    assert [(one["name"], one["state"]) for one in listed] == [(f"{other.index}-000001", "serving")]
    nothing = lodestone("store", "export", tmp_path / "2.jsonl", *there, "nothing-here")
    assert nothing.code == 2
    assert not (tmp_path / "2.jsonl").exists()


def test_vectors_without_length_are_kept_and_found_by_words(
    tmp_path: Path, store: ElasticsearchStore, new_store: NewStore
) -> None:
    passages = [
        Document(id="zero", content="no length at all", embedding=[0.0, 0.0]),
        Document(id="tiny", content="no length either", embedding=[1e-30, 0.0]),
        Document(id="one", content="some length", embedding=[1.0, 0.0]),
    ]
    folder = FaissDocumentStore(str(tmp_path / "folder"))
    folder.write_documents(passages)
    folder.export_to(tmp_path / "a.jsonl")
    store.import_from(tmp_path / "a.jsonl")
    found = store.bm25_retrieval("length", return_embedding=True)
    assert {one.id: one.embedding for one in found} == {
        one.id: one.embedding for one in folder.bm25_retrieval("length", return_embedding=True)
    }
    assert [one.embedding for one in store.bm25_retrieval("length")] == [None] * 3
    assert [one.id for one in store.embedding_retrieval([1.0, 1.0])] == ["one"]
    store.export_to(tmp_path / "b.jsonl")
    again = FaissDocumentStore(str(tmp_path / "again"))
    again.import_from(tmp_path / "b.jsonl")
    assert sorted(map(repr, again.filter_documents())) == sorted(map(repr, folder.filter_documents()))
    written = new_store()
    assert written.write_documents(passages) == 3
    assert len(written.hybrid_retrieval("length", [1.0, 1.0])) == 3
    assert new_store(similarity="dot_product").write_documents(passages) == 3


def test_an_import_that_is_refused_says_so_of_the_index_that_was_named(
    tmp_path: Path, store: ElasticsearchStore
) -> None:
    folder = FaissDocumentStore(str(tmp_path / "folder"))
    folder.write_documents([Document(id="near", embedding=[1.0, 1.0]), Document(id="far", embedding=[3e38, 3e38])])
    folder.export_to(tmp_path / "a.jsonl")
    wanted = rf"/{store.index} cannot take 1 of the passages; nothing was imported: 'far': .*magnitude"
    with pytest.raises(LodestoneError, match=wanted):
        store.import_from(tmp_path / "a.jsonl")
    assert not store.exists()
    assert store.generations() == []
