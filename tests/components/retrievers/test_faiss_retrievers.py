"""The retrievers over a FaissDocumentStore."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from haystack import Document, Pipeline
from haystack.core.serialization import allow_deserialization_module
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.document_stores.types import FilterPolicy

from lodestone.components.errors import ConfigurationError
from lodestone.components.retrievers import FaissBM25Retriever, FaissEmbeddingRetriever, FaissHybridRetriever
from lodestone.components.stores import FaissDocumentStore

EVEN = {"operator": "AND", "conditions": [{"field": "meta.even", "operator": "==", "value": True}]}
SMALL = {"operator": "AND", "conditions": [{"field": "meta.n", "operator": "<", "value": 5}]}
RUNS: list[tuple[Any, dict[str, Any]]] = [
    (FaissEmbeddingRetriever, {"query_embedding": [1.0, 0.0]}),
    (FaissBM25Retriever, {"query": "word"}),
    (FaissHybridRetriever, {"query": "word", "query_embedding": [1.0, 0.0]}),
]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FaissDocumentStore]:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents(
            [
                Document(id=str(n), content=f"word n{n}", meta={"n": n, "even": n % 2 == 0}, embedding=[1.0, n / 10])
                for n in range(20)
            ]
        )
        yield store


def ids(result: dict[str, list[Document]]) -> list[str]:
    return [document.id for document in result["documents"]]


@pytest.mark.parametrize(("cls", "query"), RUNS)
def test_filters_and_top_k_of_a_run_go_before_those_of_the_retriever(
    store: FaissDocumentStore, cls: Any, query: dict[str, Any]
) -> None:
    retriever = cls(store, filters=EVEN, top_k=4)
    assert ids(retriever.run(**query)) == ["0", "2", "4", "6"]
    assert ids(retriever.run(**query, filters=SMALL, top_k=3)) == ["0", "1", "2"]
    assert ids(retriever.run(**query, filters={}, top_k=2)) == ["0", "1"]
    merging = cls(store, filters=EVEN, filter_policy=FilterPolicy.MERGE)
    assert ids(merging.run(**query, filters=SMALL)) == ["0", "2", "4"]


@pytest.mark.parametrize(("cls", "query"), RUNS)
def test_wrong_parameters_are_refused(store: FaissDocumentStore, cls: Any, query: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="top_k must be at least 1, got 0"):
        cls(store, top_k=0)
    with pytest.raises(ConfigurationError, match="top_k must be at least 1, got -1"):
        cls(store).run(**query, top_k=-1)
    with pytest.raises(ConfigurationError, match="filter_policy must be one of replace, merge, got 'mix'"):
        cls(store, filter_policy="mix")
    with pytest.raises(ConfigurationError, match="must be a FaissDocumentStore, got InMemoryDocumentStore"):
        cls(InMemoryDocumentStore())


@pytest.mark.parametrize(("cls", "query"), RUNS)
def test_to_dict_and_from_dict(store: FaissDocumentStore, cls: Any, query: dict[str, Any]) -> None:
    allow_deserialization_module("lodestone")
    hybrid = {"candidates": 70, "rrf_k": 30} if cls is FaissHybridRetriever else {}
    modules = {"FaissEmbeddingRetriever": "embedding", "FaissBM25Retriever": "bm25", "FaissHybridRetriever": "hybrid"}
    data = {
        "type": f"lodestone.components.retrievers.faiss_{modules[cls.__name__]}_retriever.{cls.__name__}",
        "init_parameters": {
            "document_store": store.to_dict(),
            "filters": EVEN,
            "top_k": 3,
            "filter_policy": "merge",
            **hybrid,
        },
    }
    assert cls(store, filters=EVEN, top_k=3, filter_policy="merge", **hybrid).to_dict() == data
    assert cls.from_dict(data).to_dict() == data


@pytest.mark.parametrize(("cls", "query"), RUNS)
def test_a_retriever_works_from_yaml(store: FaissDocumentStore, cls: Any, query: dict[str, Any]) -> None:
    allow_deserialization_module("lodestone")
    pipeline = Pipeline()
    pipeline.add_component("retriever", cls(store))
    loaded = Pipeline.loads(pipeline.dumps())
    assert len(ids(loaded.run({"retriever": query})["retriever"])) == 10


def test_ranks_are_fused_reciprocally(tmp_path: Path) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents(
            [
                Document(id="both", content="lighthouse keeper and others", embedding=[1.0, 0.5]),
                Document(id="dense", content="nothing", embedding=[1.0, 0.0]),
                Document(id="words", content="lighthouse keeper"),
                Document(id="neither", content="nothing", embedding=[0.0, 1.0]),
            ]
        )
        retriever = FaissHybridRetriever(store, candidates=2, top_k=2, rrf_k=10)
        found = retriever.run("lighthouse keeper", [1.0, 0.0])["documents"]
        assert [(document.id, document.score) for document in found] == [
            ("both", pytest.approx(1 / 12 + 1 / 12)),
            ("dense", pytest.approx(1 / 11)),
        ]
        found = retriever.run("lighthouse keeper", [1.0, 0.0], top_k=4)["documents"]
        by_id = {document.id: document.meta["retrieval"] for document in found}
        assert [document.id for document in found] == ["both", "dense", "words", "neither"]
        assert by_id["dense"] == {"dense_rank": 1, "dense_score": 1.0, "bm25_rank": None, "bm25_score": None}
        assert (by_id["words"]["dense_rank"], by_id["words"]["bm25_rank"]) == (None, 1)
        assert by_id["words"]["bm25_score"] > by_id["both"]["bm25_score"] > 0
        assert "retrieval" not in store.filter_documents()[0].meta
