"""The retrievers over an ElasticsearchStore."""

import asyncio
from typing import Any

import pytest
from haystack import Document, Pipeline
from haystack.core.serialization import allow_deserialization_module
from haystack.document_stores.in_memory import InMemoryDocumentStore

from lodestone import (
    ElasticsearchBM25Retriever,
    ElasticsearchEmbeddingRetriever,
    ElasticsearchHybridRetriever,
    ElasticsearchStore,
)
from lodestone.components.errors import ConfigurationError

EVEN = {"operator": "AND", "conditions": [{"field": "meta.even", "operator": "==", "value": True}]}
SMALL = {"operator": "AND", "conditions": [{"field": "meta.n", "operator": "<", "value": 5}]}
RUNS: list[tuple[Any, dict[str, Any]]] = [
    (ElasticsearchEmbeddingRetriever, {"query_embedding": [1.0, 0.0]}),
    (ElasticsearchBM25Retriever, {"query": "word"}),
    (ElasticsearchHybridRetriever, {"query": "word", "query_embedding": [1.0, 0.0]}),
]


@pytest.fixture
def filled(store: ElasticsearchStore) -> ElasticsearchStore:
    store.write_documents(
        [
            Document(id=str(n), content="word " * (20 - n), meta={"n": n, "even": n % 2 == 0}, embedding=[1.0, n / 10])
            for n in range(20)
        ]
    )
    return store


def ids(result: dict[str, list[Document]]) -> list[str]:
    return [document.id for document in result["documents"]]


@pytest.mark.parametrize(("cls", "query"), RUNS)
def test_filters_top_k_yaml_and_event_loops(filled: ElasticsearchStore, cls: Any, query: dict[str, Any]) -> None:
    retriever = cls(filled, filters=EVEN, top_k=4)
    assert ids(retriever.run(**query)) == ["0", "2", "4", "6"]
    assert ids(retriever.run(**query, filters=SMALL, top_k=3)) == ["0", "1", "2"]
    assert ids(cls(filled, filters=EVEN, filter_policy="merge").run(**query, filters=SMALL)) == ["0", "2", "4"]
    assert asyncio.run(retriever.run_async(**query)) == retriever.run(**query)

    allow_deserialization_module("lodestone")
    pipeline = Pipeline()
    pipeline.add_component("retriever", retriever)
    loaded = Pipeline.loads(pipeline.dumps())
    assert ids(loaded.run({"retriever": query})["retriever"]) == ["0", "2", "4", "6"]


@pytest.mark.parametrize(("cls", "query"), RUNS)
def test_to_dict_and_from_dict_need_no_server(cls: Any, query: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("haystack.core.serialization_security._extra_allowed_modules", [])
    store = ElasticsearchStore("https://search:9200", "docs", username="elastic", ca_certs="ca.crt", shards=3)
    hybrid = {"candidates": 70, "fusion": "rrf", "dense_weight": 0.5, "rrf_k": 30}
    own = hybrid if cls is ElasticsearchHybridRetriever else {}
    kind = cls.__name__.removeprefix("Elasticsearch").removesuffix("Retriever").lower()
    data = {
        "type": f"lodestone.components.retrievers.elasticsearch_{kind}_retriever.{cls.__name__}",
        "init_parameters": {
            "document_store": store.to_dict(),
            "filters": EVEN,
            "top_k": 3,
            "filter_policy": "merge",
            **own,
        },
    }
    assert cls(store, filters=EVEN, top_k=3, filter_policy="merge", **own).to_dict() == data
    assert cls.from_dict(data).to_dict() == data


def test_the_store_as_a_dictionary_names_its_secrets_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELASTIC_API_KEY", "very secret")
    data = ElasticsearchStore(index="docs").to_dict()
    assert data == {
        "type": "lodestone.components.stores.elasticsearch.elasticsearch_store.ElasticsearchStore",
        "init_parameters": {
            "hosts": None,
            "index": "docs",
            "embedding_dim": None,
            "similarity": "cosine",
            "language": "english",
            "cloud_id": None,
            "username": None,
            "ca_certs": None,
            "timeout": 60.0,
            "bulk_bytes": 1_000_000,
            "bulk_workers": 4,
            "max_retries": 6,
            "max_fields": 1000,
            "shards": None,
            "replicas": None,
            "api_key": {"type": "env_var", "env_vars": ["ELASTIC_API_KEY"], "strict": False},
            "password": {"type": "env_var", "env_vars": ["ELASTIC_PASSWORD"], "strict": False},
        },
    }
    assert ElasticsearchStore.from_dict(data).to_dict() == data


@pytest.mark.parametrize(("cls", "query"), RUNS)
def test_another_store_is_refused(cls: Any, query: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="must be an ElasticsearchStore, got InMemoryDocumentStore"):
        cls(InMemoryDocumentStore())
