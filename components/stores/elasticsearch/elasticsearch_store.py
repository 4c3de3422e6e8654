"""The document store on an Elasticsearch cluster."""

import asyncio
import math
from dataclasses import replace
from types import TracebackType
from typing import Any

from haystack import Document, default_from_dict, default_to_dict
from haystack.utils import Secret
from haystack.utils.auth import deserialize_secrets_inplace
from haystack_integrations.document_stores.elasticsearch import ElasticsearchDocumentStore
from haystack_integrations.document_stores.elasticsearch.document_store import BM25_SCALING_FACTOR

from lodestone.components.asynchronous import in_thread
from lodestone.components.stores.elasticsearch.bulk import BulkSettings
from lodestone.components.stores.elasticsearch.connection import Connection
from lodestone.components.stores.elasticsearch.documents import DocumentIndex
from lodestone.components.stores.elasticsearch.index import PassageIndex
from lodestone.components.stores.elasticsearch.mapping import IndexSettings
from lodestone.components.stores.elasticsearch.passages import to_document

_PATIENCE = 10.0  # seconds that a write waits for a missing shard


class ElasticsearchStore(DocumentIndex, ElasticsearchDocumentStore):  # type: ignore[misc]  # refresh is true or false
    """Documents, their vectors and their words in Elasticsearch, 8.18 or newer, with the ledger of indexed files.

    It takes the place of a `FaissDocumentStore` where the passages outgrow one machine: filters, scores and the ledger
    mean the same. The index and its ledger, `NAME-ledger`, are created by the first write, behind aliases.

    A document is safe when a write returns. It is found by searches after the next refresh: `write_documents`, the
    deletions and updates refresh before they return, unless told not to; `write_sources` leaves it to `save`.

    ### Usage example

    ```python
    from haystack import Document
    from lodestone import ElasticsearchStore

    with ElasticsearchStore("http://localhost:9200", index="my-index") as store:
        store.write_documents([Document(content="Paris is the capital of France.", embedding=[0.1, 0.9])])
        print(store.bm25_retrieval("capital of France")[0].content)
    ```

    :param hosts: URLs of nodes; None for those in the environment variable `ELASTICSEARCH_URL`, several separated by
        commas, or else `http://localhost:9200`.
    :param index: Name of the index: an alias, behind which the index itself can be exchanged.
    :param embedding_dim: Length of the vectors; None for that of the first one written.
    :param similarity: "cosine", or "dot_product" for models trained for it.
    :param language: Whose analyzer stems the words that are searched: "english", "german", ... or "none".
    :param cloud_id: Id of an Elastic Cloud deployment, instead of `hosts`.
    :param api_key: API key, base64 of `id:key`; from the environment.
    :param username: Of a user with a password, instead of an API key; None for what `ELASTIC_USERNAME` says.
    :param password: Of the user; from the environment.
    :param ca_certs: File of the CA certificates that the cluster's is checked with; None for what `ELASTIC_CA_CERTS`
        says, or else the system's.
    :param timeout: Seconds to wait for an answer.
    :param bulk_bytes: Size of a bulk request, bytes.
    :param bulk_workers: How many bulk requests are sent at once.
    :param max_retries: How often a write is tried again while the cluster is unreachable or busy; the waits between
        double from 1 s, up to 30 s.
    :param max_fields: The most metadata fields that are indexed; what is beyond is stored, and filters do not see it.
    :param shards: Primary shards of a new index; None for the cluster's default.
    :param replicas: Copies of each shard of a new index; None for the cluster's default.
    :raises ConfigurationError: If a parameter is not among the valid ones, or a secret is not in the environment.
    """

    def __init__(
        self,
        hosts: str | list[str] | None = None,
        index: str = "lodestone",
        embedding_dim: int | None = None,
        similarity: str = "cosine",
        language: str = "english",
        cloud_id: str | None = None,
        api_key: Secret | None = Secret.from_env_var("ELASTIC_API_KEY", strict=False),
        username: str | None = None,
        password: Secret | None = Secret.from_env_var("ELASTIC_PASSWORD", strict=False),
        ca_certs: str | None = None,
        timeout: float = 60.0,
        bulk_bytes: int = 1_000_000,
        bulk_workers: int = 4,
        max_retries: int = 6,
        max_fields: int = 1000,
        shards: int | None = None,
        replicas: int | None = None,
    ) -> None:
        self.hosts = hosts
        self.index = index
        self.embedding_dim = embedding_dim
        self.similarity = similarity
        self.language = language
        self.cloud_id = cloud_id
        self.api_key = api_key
        self.username = username
        self.password = password
        self.ca_certs = ca_certs
        self.timeout = timeout
        self.bulk_bytes = bulk_bytes
        self.bulk_workers = bulk_workers
        self.max_retries = max_retries
        self.max_fields = max_fields
        self.shards = shards
        self.replicas = replicas
        passages = PassageIndex(
            Connection(hosts, cloud_id, api_key, username, password, ca_certs, timeout),
            index,
            IndexSettings(similarity, language, embedding_dim, max_fields, shards, replicas),
            BulkSettings(bulk_bytes, bulk_workers, max_retries, min(timeout / 2, _PATIENCE)),
        )
        DocumentIndex.__init__(self, passages)
        ElasticsearchDocumentStore.__init__(self, index=index, api_key=api_key)

    def to_dict(self) -> dict[str, Any]:
        """The store as a dictionary of its parameters; secrets by the names of their variables."""
        secrets = {name: getattr(self, name) for name in ("api_key", "password")}
        return default_to_dict(
            self,
            hosts=self.hosts,
            index=self.index,
            embedding_dim=self.embedding_dim,
            similarity=self.similarity,
            language=self.language,
            cloud_id=self.cloud_id,
            username=self.username,
            ca_certs=self.ca_certs,
            timeout=self.timeout,
            bulk_bytes=self.bulk_bytes,
            bulk_workers=self.bulk_workers,
            max_retries=self.max_retries,
            max_fields=self.max_fields,
            shards=self.shards,
            replicas=self.replicas,
            **{name: None if secret is None else secret.to_dict() for name, secret in secrets.items()},
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "ElasticsearchStore":
        """The store that `to_dict` described.

        :param data: What `to_dict` returned.
        """
        parameters = dict(data.get("init_parameters", {}))
        deserialize_secrets_inplace(parameters, keys=["api_key", "password"])
        return default_from_dict(cls, {**data, "init_parameters": parameters})

    def __enter__(self) -> "ElasticsearchStore":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def client(self) -> Any:
        """The client of the elasticsearch package, connected when it is first asked for."""
        return self._passages.client

    # What the stock retrievers of elasticsearch-haystack call

    def _ensure_initialized(self) -> None:
        self._passages.prepare(None)

    async def _ensure_initialized_async(self) -> None:
        await asyncio.to_thread(self._ensure_initialized)

    def _deserialize_document(self, hit: dict[str, Any]) -> Document:
        return to_document(hit, hit["_score"])

    def _bm25_retrieval(
        self,
        query: str,
        *,
        filters: dict[str, Any] | None = None,
        fuzziness: str = "AUTO",
        top_k: int = 10,
        scale_score: bool = False,
    ) -> list[Document]:
        # Words are stemmed here, and misspelled ones are left to the vectors: no fuzziness.
        documents = self.bm25_retrieval(query, filters, top_k)
        if not scale_score:
            return documents
        scaled = (1 / (1 + math.exp(-(document.score or 0) / BM25_SCALING_FACTOR)) for document in documents)
        return [replace(document, score=score) for document, score in zip(documents, scaled, strict=True)]

    def _embedding_retrieval(
        self,
        query_embedding: list[float],
        *,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        num_candidates: int | None = None,
    ) -> list[Document]:
        # How many candidates each shard looks at is chosen by the store.
        return self.embedding_retrieval(query_embedding, filters, top_k)

    _bm25_retrieval_async = in_thread(_bm25_retrieval)  # type: ignore[arg-type]
    _embedding_retrieval_async = in_thread(_embedding_retrieval)  # type: ignore[arg-type]
