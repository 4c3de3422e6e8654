"""Retrieval by vectors and by words together."""

from typing import Any

from haystack import Document, component
from haystack.document_stores.types import FilterPolicy

from lodestone.components.asynchronous import in_thread
from lodestone.components.retrievers._store_retriever import Store, StoreRetriever
from lodestone.components.stores.fusion import Fusion
from lodestone.components.stores.settings import check_at_least_one


class HybridRetriever(StoreRetriever[Store]):
    """Finds documents by vectors and by words, and joins the two rankings.

    With the fusion "score", a document's score is a weighted mean of its similarity and its BM25 score, each brought to
    0..1 between its least value (-1 for a cosine, 0 for BM25) and the largest one of the query (Bruch, Gai and Ingber:
    "An Analysis of Fusion Functions for Hybrid Retrieval", 2023). With "rrf" it is the sum, over the rankings that
    hold it, of 1 / (rrf_k + rank), ranks counted from 1 (Cormack, Clarke and Büttcher: "Reciprocal Rank Fusion
    outperforms Condorcet and individual Rank Learning Methods", 2009). `benchmarks/retrieval_quality.py` compares them.

    Each document has `meta["retrieval"]`, which the store does not keep: `dense_rank` and `bm25_rank`, None if it is
    not among the candidates of that side, `dense_score`, None if it has no vector, and `bm25_score`, None if it has
    none of the words.

    :param document_store: Where to search.
    :param filters: Haystack filters for every run; None for all documents.
    :param top_k: How many documents at most.
    :param candidates: How many documents to take from each side; None for max(50, 3 * top_k).
    :param fusion: "score" or "rrf".
    :param dense_weight: For "score": the weight of the similarity, 0 to 1; BM25 has the rest.
    :param rrf_k: For "rrf": the larger, the less the first ranks count.
    :param filter_policy: Filters given to `run` "replace" those given here, or are "merge"d with them.
    :raises ConfigurationError: If a parameter is not among the valid ones.
    """

    def __init__(
        self,
        document_store: Store,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        candidates: int | None = None,
        fusion: str = "score",
        dense_weight: float = 0.7,
        rrf_k: int = 60,
        filter_policy: str | FilterPolicy = "replace",
    ) -> None:
        super().__init__(document_store, filters, top_k, filter_policy)
        self.candidates = None if candidates is None else check_at_least_one("candidates", candidates)
        self.fusion = fusion
        self.dense_weight = dense_weight
        self.rrf_k = rrf_k
        self._fusion = Fusion(fusion, dense_weight, rrf_k)

    def to_dict(self) -> dict[str, Any]:
        """The component as a dictionary of its parameters."""
        data = super().to_dict()
        data["init_parameters"].update(
            candidates=self.candidates, fusion=self.fusion, dense_weight=self.dense_weight, rrf_k=self.rrf_k
        )
        return data

    @component.output_types(documents=list[Document])
    def run(
        self,
        query: str,
        query_embedding: list[float],
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
    ) -> dict[str, list[Document]]:
        """Find documents.

        :param query: Any text; a phrase in quotes must occur, if it does anywhere, in what is found by words.
        :param query_embedding: The query's embedding, as long as the store's.
        :param filters: Haystack filters, used as the filter policy says; None for those of `__init__`.
        :param top_k: How many documents at most; None for that of `__init__`.
        :returns: `documents`, best first; `score` is the fused one, at most 1 ("score") or 2 / (rrf_k + 1) ("rrf").
        :raises ConfigurationError: If `top_k` is below 1, or the embedding has another length than the store's.
        """
        documents = self.document_store.hybrid_retrieval(
            query,
            query_embedding,
            filters=self._filters_now(filters),
            top_k=self._top_k_now(top_k),
            candidates=self.candidates,
            fusion=self._fusion,
        )
        return {"documents": documents}

    run_async = in_thread(run)
