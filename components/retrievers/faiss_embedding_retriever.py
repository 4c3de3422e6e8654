"""Retrieval by vectors."""

from typing import Any

from haystack import Document, component, default_to_dict
from haystack.document_stores.types import FilterPolicy

from lodestone.components.asynchronous import in_thread
from lodestone.components.retrievers import _parameters as parameters
from lodestone.components.stores import FaissDocumentStore
from lodestone.components.stores.settings import check_at_least_one


@component
class FaissEmbeddingRetriever:
    """Finds the documents nearest to a query's embedding.

    ### Usage example

    ```python
    from lodestone import FaissEmbeddingRetriever, FaissDocumentStore

    retriever = FaissEmbeddingRetriever(FaissDocumentStore("my-index"), top_k=5)
    documents = retriever.run(query_embedding=[0.1, 0.9])["documents"]
    ```

    :param document_store: Where to search.
    :param filters: Haystack filters for every run; None for all documents.
    :param top_k: How many documents at most.
    :param filter_policy: Filters given to `run` "replace" those given here, or are "merge"d with them.
    :raises ConfigurationError: If a parameter is not among the valid ones.
    """

    def __init__(
        self,
        document_store: FaissDocumentStore,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        filter_policy: str | FilterPolicy = "replace",
    ) -> None:
        self.document_store = parameters.check_store(document_store, FaissDocumentStore)
        self.filters = filters
        self.top_k = check_at_least_one("top_k", top_k)
        self.filter_policy = parameters.check_policy(filter_policy)

    def to_dict(self) -> dict[str, Any]:
        """The component as a dictionary of its parameters."""
        return default_to_dict(
            self,
            document_store=self.document_store.to_dict(),
            filters=self.filters,
            top_k=self.top_k,
            filter_policy=self.filter_policy.value,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "FaissEmbeddingRetriever":
        """The component that `to_dict` described.

        :param data: What `to_dict` returned.
        """
        return parameters.retriever_from_dict(cls, data, FaissDocumentStore)

    @component.output_types(documents=list[Document])
    def run(
        self, query_embedding: list[float], filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Find documents.

        :param query_embedding: The query's embedding, as long as the store's.
        :param filters: Haystack filters, used as the filter policy says; None for those of `__init__`.
        :param top_k: How many documents at most; None for that of `__init__`.
        :returns: `documents`, best first; `score` is the cosine similarity or the inner product.
        :raises ConfigurationError: If `top_k` is below 1, or the embedding has another length than the store's.
        """
        documents = self.document_store.embedding_retrieval(
            query_embedding,
            filters=parameters.effective_filters(self.filter_policy, self.filters, filters),
            top_k=check_at_least_one("top_k", self.top_k if top_k is None else top_k),
        )
        return {"documents": documents}

    run_async = in_thread(run)
