"""The retrievers over a FaissDocumentStore."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
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
def test_to_dict_and_from_dict(
    store: FaissDocumentStore, cls: Any, query: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("haystack.core.serialization_security._extra_allowed_modules", [])
    hybrid = (
        {"candidates": 70, "fusion": "rrf", "dense_weight": 0.5, "rrf_k": 30} if cls is FaissHybridRetriever else {}
    )
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


@pytest.mark.parametrize(("cls", "query"), RUNS)
def test_a_retriever_runs_in_an_event_loop(store: FaissDocumentStore, cls: Any, query: dict[str, Any]) -> None:
    retriever = cls(store, top_k=3)
    assert asyncio.run(retriever.run_async(**query)) == retriever.run(**query)
    pipeline = Pipeline()
    pipeline.add_component("retriever", retriever)
    found = asyncio.run(pipeline.run_async({"retriever": query}))
    assert ids(found["retriever"]) == ids(retriever.run(**query))


def test_wrong_ways_to_fuse_are_refused(store: FaissDocumentStore) -> None:
    with pytest.raises(ConfigurationError, match="fusion must be one of score, rrf, got 'mean'"):
        FaissHybridRetriever(store, fusion="mean")
    with pytest.raises(ConfigurationError, match=r"dense_weight must be between 0 and 1, got 1\.5"):
        FaissHybridRetriever(store, dense_weight=1.5)
    with pytest.raises(ConfigurationError, match="rrf_k must be at least 1, got 0"):
        FaissHybridRetriever(store, rrf_k=0)
    with pytest.raises(ConfigurationError, match="candidates must be at least 1, got 0"):
        FaissHybridRetriever(store, candidates=0)


FOUR = [
    Document(id="both", content="lighthouse keeper and others", embedding=[1.0, 0.5]),
    Document(id="dense", content="nothing", embedding=[1.0, 0.0]),
    Document(id="words", content="lighthouse keeper"),
    Document(id="neither", content="nothing", embedding=[0.0, 1.0]),
]


def test_scores_are_fused_between_their_least_and_their_largest_value(tmp_path: Path) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents(FOUR)
        best = {document.id: document.score or 0.0 for document in store.bm25_retrieval("lighthouse keeper")}
        retriever = FaissHybridRetriever(store, top_k=4, dense_weight=0.6)
        found = retriever.run("lighthouse keeper", [1.0, 0.0])["documents"]
        expected = {
            "both": 0.6 * (1 / 1.25**0.5 + 1) / 2 + 0.4 * best["both"] / best["words"],
            "dense": 0.6,
            "words": 0.6 * (0 + 1) / 2 + 0.4,
            "neither": 0.6 * (0 + 1) / 2,
        }
        assert {document.id: document.score for document in found} == pytest.approx(expected, abs=1e-6)
        assert [document.id for document in found] == sorted(expected, key=lambda name: -expected[name])


def test_a_hit_of_one_side_has_the_score_of_the_other_too(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    vectors = generator.standard_normal((300, 8)).astype(np.float32)
    words = [f"common{' rare' * (n % 7)} w{n % 11}" for n in range(300)]
    for similarity in ("cosine", "dot_product"):
        with FaissDocumentStore(tmp_path / similarity, similarity=similarity) as store:
            store.write_documents(
                [Document(id=str(n), content=words[n], embedding=vectors[n].tolist()) for n in range(300)]
            )
            dense = {
                document.id: document.score for document in store.embedding_retrieval(vectors[0].tolist(), top_k=300)
            }
            bm25 = {document.id: document.score for document in store.bm25_retrieval("rare w3", top_k=300)}
            few = FaissHybridRetriever(store, top_k=20, candidates=20).run("rare w3", vectors[0].tolist())["documents"]
            assert any(document.meta["retrieval"]["dense_rank"] is None for document in few)
            for document in few:
                found = document.meta["retrieval"]
                assert found["dense_score"] == pytest.approx(dense[document.id], abs=1e-5)
                assert found["bm25_score"] == (None if document.id not in bm25 else pytest.approx(bm25[document.id]))
            all_of_them = FaissHybridRetriever(store, top_k=20, candidates=300).run("rare w3", vectors[0].tolist())
            assert few[0].id == all_of_them["documents"][0].id
            assert 0 <= few[-1].score <= few[0].score <= 1


def test_ranks_are_fused_reciprocally(tmp_path: Path) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents(FOUR)
        retriever = FaissHybridRetriever(store, candidates=2, top_k=2, fusion="rrf", rrf_k=10)
        found = retriever.run("lighthouse keeper", [1.0, 0.0])["documents"]
        assert [(document.id, document.score) for document in found] == [
            ("both", pytest.approx(1 / 12 + 1 / 12)),
            ("dense", pytest.approx(1 / 11)),
        ]
        found = retriever.run("lighthouse keeper", [1.0, 0.0], top_k=4)["documents"]
        by_id = {document.id: document.meta["retrieval"] for document in found}
        assert [document.id for document in found] == ["both", "dense", "words", "neither"]
        assert by_id["dense"] == {"dense_rank": 1, "dense_score": 1.0, "bm25_rank": None, "bm25_score": None}
        assert (by_id["words"]["dense_rank"], by_id["words"]["dense_score"], by_id["words"]["bm25_rank"]) == (
            None,
            None,
            1,
        )
        assert by_id["words"]["bm25_score"] > by_id["both"]["bm25_score"] > 0
        assert "retrieval" not in store.filter_documents()[0].meta
