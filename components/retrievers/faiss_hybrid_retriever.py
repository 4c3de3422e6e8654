"""Retrieval by vectors and by words together."""

from dataclasses import replace
from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict
from haystack.document_stores.types import FilterPolicy

from lodestone.components.retrievers import _parameters as parameters
from lodestone.components.stores import FaissDocumentStore


@component
class FaissHybridRetriever:
    """Finds documents by vectors and by words, and joins the two rankings by reciprocal rank fusion.

    A document's score is the sum, over the rankings that hold it, of 1 / (rrf_k + rank), ranks counted from 1 (Cormack,
    Clarke and Büttcher: "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods", 2009).
    Each document keeps `meta["retrieval"]`: `dense_rank`, `dense_score`, `bm25_rank`, `bm25_score`, None for a side
    that did not find it.

    ### Usage example

    ```python
    from lodestone import FaissDocumentStore, FaissHybridRetriever

    retriever = FaissHybridRetriever(FaissDocumentStore("my-index"), top_k=5)
    documents = retriever.run(query="capital of France", query_embedding=[0.1, 0.9])["documents"]
    ```

    :param document_store: Where to search.
    :param filters: Haystack filters for every run; None for all documents.
    :param top_k: How many documents at most.
    :param candidates: How many documents to take from each side; None for max(50, 3 * top_k).
    :param rrf_k: The larger, the less the first ranks count.
    :param filter_policy: Filters given to `run` "replace" those given here, or are "merge"d with them.
    :raises ConfigurationError: If a parameter is not among the valid ones.
    """

    def __init__(
        self,
        document_store: FaissDocumentStore,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        candidates: int | None = None,
        rrf_k: int = 60,
        filter_policy: str | FilterPolicy = "replace",
    ) -> None:
        self.document_store = parameters.check_store(document_store)
        self.filters = filters
        self.top_k = parameters.check_at_least_one("top_k", top_k)
        self.candidates = None if candidates is None else parameters.check_at_least_one("candidates", candidates)
        self.rrf_k = parameters.check_at_least_one("rrf_k", rrf_k)
        self.filter_policy = parameters.check_policy(filter_policy)

    def to_dict(self) -> dict[str, Any]:
        """The component as a dictionary of its parameters."""
        return default_to_dict(
            self,
            document_store=self.document_store.to_dict(),
            filters=self.filters,
            top_k=self.top_k,
            candidates=self.candidates,
            rrf_k=self.rrf_k,
            filter_policy=self.filter_policy.value,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "FaissHybridRetriever":
        """The component that `to_dict` described.

        :param data: What `to_dict` returned.
        """
        return default_from_dict(cls, data)

    @component.output_types(documents=list[Document])
    def run(
        self,
        query: str,
        query_embedding: list[float],
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
    ) -> dict[str, list[Document]]:
        """Find documents.

        :param query: Any text; a phrase in quotes must occur in what is found by words.
        :param query_embedding: The query's embedding, as long as the store's.
        :param filters: Haystack filters, used as the filter policy says; None for those of `__init__`.
        :param top_k: How many documents at most; None for that of `__init__`.
        :returns: `documents`, best first; `score` is the fused one, at most 2 / (rrf_k + 1).
        :raises ConfigurationError: If `top_k` is below 1, or the embedding has another length than the store's.
        """
        wanted = parameters.check_at_least_one("top_k", self.top_k if top_k is None else top_k)
        candidates = max(50, 3 * wanted) if self.candidates is None else max(self.candidates, wanted)
        effective = parameters.effective_filters(self.filter_policy, self.filters, filters)
        dense = self.document_store.embedding_retrieval(query_embedding, filters=effective, top_k=candidates)
        words = self.document_store.bm25_retrieval(query, filters=effective, top_k=candidates)
        return {"documents": fuse(dense, words, self.rrf_k)[:wanted]}


def fuse(dense: list[Document], words: list[Document], rrf_k: int) -> list[Document]:
    """Join two rankings by reciprocal rank fusion.

    :param dense: Found by vectors, best first.
    :param words: Found by words, best first.
    :param rrf_k: The constant of the formula.
    :returns: All documents, best first; equal scores by the better dense rank, then the better rank by words.
    """
    documents = {document.id: document for document in [*words, *dense]}
    by_vectors = {document.id: (rank, document.score) for rank, document in enumerate(dense, start=1)}
    by_words = {document.id: (rank, document.score) for rank, document in enumerate(words, start=1)}
    fused = []
    for identifier, document in documents.items():
        dense_rank, dense_score = by_vectors.get(identifier, (None, None))
        bm25_rank, bm25_score = by_words.get(identifier, (None, None))
        retrieval = {
            "dense_rank": dense_rank,
            "dense_score": dense_score,
            "bm25_rank": bm25_rank,
            "bm25_score": bm25_score,
        }
        score = sum(1 / (rrf_k + rank) for rank in (dense_rank, bm25_rank) if rank is not None)
        fused.append(replace(document, score=score, meta={**document.meta, "retrieval": retrieval}))
    last = len(documents) + 1

    def key(document: Document) -> tuple[float, int, int]:
        retrieval = document.meta["retrieval"]
        ranks = (retrieval["dense_rank"], retrieval["bm25_rank"])
        return -(document.score or 0.0), *(last if rank is None else rank for rank in ranks)  # type: ignore[return-value]

    return sorted(fused, key=key)
