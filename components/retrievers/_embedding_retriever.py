"""Retrieval by vectors."""

from typing import Any

from haystack import Document, component

from lodestone.components.asynchronous import in_thread
from lodestone.components.retrievers._store_retriever import Store, StoreRetriever


class EmbeddingRetriever(StoreRetriever[Store]):
    """Finds the documents nearest to a query's embedding. Parameters: see `StoreRetriever`."""

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
        filters, most = self._filters_now(filters), self._top_k_now(top_k)
        return {"documents": self.document_store.embedding_retrieval(query_embedding, filters=filters, top_k=most)}

    run_async = in_thread(run)
