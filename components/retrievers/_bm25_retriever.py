"""Retrieval by words: BM25."""

from typing import Any

from haystack import Document, component

from lodestone.components.asynchronous import in_thread
from lodestone.components.retrievers._store_retriever import Store, StoreRetriever


class BM25Retriever(StoreRetriever[Store]):
    """Finds the documents that have a query's words in their headings or content. Parameters: see `StoreRetriever`."""

    @component.output_types(documents=list[Document])
    def run(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Find documents.

        :param query: Any text; a phrase in quotes must occur, if it does anywhere.
        :param filters: Haystack filters, used as the filter policy says; None for those of `__init__`.
        :param top_k: How many documents at most; None for that of `__init__`.
        :returns: `documents`, best first; `score` is BM25's.
        :raises ConfigurationError: If `top_k` is below 1.
        """
        filters, most = self._filters_now(filters), self._top_k_now(top_k)
        return {"documents": self.document_store.bm25_retrieval(query, filters=filters, top_k=most)}

    run_async = in_thread(run)
