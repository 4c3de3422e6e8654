"""How a ranking by vectors and a ranking by words become one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lodestone.components.errors import ConfigurationError
from lodestone.components.stores.settings import check_at_least_one

FUSIONS = ("score", "rrf")


@dataclass(frozen=True)
class Candidate:
    """A passage that one of the two rankings holds, or both.

    :param row: Its row number.
    :param dense_rank: Its place in the ranking by vectors, from 1; None if it is not among the candidates of that side.
    :param dense_score: Its cosine similarity or inner product; None if it has no vector.
    :param bm25_rank: Its place in the ranking by words, from 1; None if it is not among the candidates of that side.
    :param bm25_score: Its BM25 score; None if it has none of the words.
    """

    row: int
    dense_rank: int | None
    dense_score: float | None
    bm25_rank: int | None
    bm25_score: float | None

    def to_meta(self) -> dict[str, Any]:
        """Ranks and scores by name."""
        return {
            "dense_rank": self.dense_rank,
            "dense_score": self.dense_score,
            "bm25_rank": self.bm25_rank,
            "bm25_score": self.bm25_score,
        }


@dataclass(frozen=True)
class Fusion:
    """A way to join two rankings.

    "rrf" adds, over the rankings that hold a passage, 1 / (rrf_k + rank), ranks counted from 1 (Cormack, Clarke and
    Büttcher: "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods", SIGIR 2009).

    "score" is a weighted mean of the two scores, each brought to 0..1 between the least value that it can have (-1 for
    a cosine, 0 for BM25) and the largest one of the query, where every candidate has both scores (Bruch, Gai and
    Ingber: "An Analysis of Fusion Functions for Hybrid Retrieval", TOIS 2023). An inner product's least value is taken
    to be the negative of the largest one.

    :param kind: "score" or "rrf".
    :param dense_weight: Weight of the ranking by vectors in "score", 0 to 1.
    :param rrf_k: In "rrf": the larger, the less the first ranks count.
    :raises ConfigurationError: If a parameter is not among the valid ones.
    """

    kind: str = "score"
    dense_weight: float = 0.7
    rrf_k: int = 60

    def __post_init__(self) -> None:
        if self.kind not in FUSIONS:
            raise ConfigurationError(f"fusion must be one of {', '.join(FUSIONS)}, got {self.kind!r}")
        weight = self.dense_weight
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= 1:
            raise ConfigurationError(f"dense_weight must be between 0 and 1, got {weight!r}")
        check_at_least_one("rrf_k", self.rrf_k)

    def fuse(self, candidates: list[Candidate], cosine: bool) -> list[tuple[Candidate, float]]:
        """Rank the candidates.

        :param candidates: Those of both sides.
        :param cosine: Whether dense scores are cosine similarities; else they are inner products.
        :returns: Candidates and scores, best first; equal scores by dense rank, then by the rank by words.
        """
        scores = self._reciprocal(candidates) if self.kind == "rrf" else self._weighted(candidates, cosine)
        last = len(candidates) + 1

        def key(candidate: Candidate) -> tuple[float, int, int, int]:
            ranks = (last if rank is None else rank for rank in (candidate.dense_rank, candidate.bm25_rank))
            return -scores[candidate.row], *ranks, candidate.row  # type: ignore[return-value]

        return [(candidate, scores[candidate.row]) for candidate in sorted(candidates, key=key)]

    def _reciprocal(self, candidates: list[Candidate]) -> Mapping[int, float]:
        return {
            candidate.row: sum(
                1 / (self.rrf_k + rank) for rank in (candidate.dense_rank, candidate.bm25_rank) if rank is not None
            )
            for candidate in candidates
        }

    def _weighted(self, candidates: list[Candidate], cosine: bool) -> Mapping[int, float]:
        # A passage without a vector is taken to be neither like the query nor unlike it.
        dense = [candidate.dense_score or 0.0 for candidate in candidates]
        most_alike = max(dense, default=0.0)
        least = -1.0 if cosine else -max(map(abs, dense), default=0.0)
        best = max((candidate.bm25_score or 0.0 for candidate in candidates), default=0.0)
        scores = {}
        for candidate, similarity in zip(candidates, dense, strict=True):
            by_vectors = (similarity - least) / (most_alike - least) if most_alike > least else 0.0
            by_words = (candidate.bm25_score or 0.0) / best if best > 0 else 0.0
            scores[candidate.row] = self.dense_weight * by_vectors + (1 - self.dense_weight) * by_words
        return scores


def candidates_wanted(top_k: int, candidates: int | None) -> int:
    """How many documents to take from each side before they are fused.

    :param top_k: How many are to be found.
    :param candidates: How many were asked for; None for max(50, 3 * top_k).
    :raises ConfigurationError: If `candidates` is below 1.
    """
    return max(50, 3 * top_k) if candidates is None else max(check_at_least_one("candidates", candidates), top_k)
