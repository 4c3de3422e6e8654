"""How much of what an exact search finds an index finds, and how hard it must look for that."""

from typing import Any

import numpy as np

from lodestone.components.stores.index_types import Bits, Floats, IndexType, Rows, import_faiss
from lodestone.components.stores.saved_vectors import candidates

TOP_K = 10
# The recall of blends of five is nearest to that of real questions, of blends of two to five that were tried; the part
# of the misses that the target allows which is kept in reserve makes up for the rest (benchmarks/million.py).
_BLENDED = 5
_RESERVE = 0.25
# A filter makes neighbours rarer and an index look harder: the effort is found for all vectors, and for every second,
# tenth and hundredth.
_STRIDES = (1, 2, 10, 100)


class RecallMeter:
    """Measures recall@10 with vectors that are not in the index, and with blends of them.

    A passage has near neighbours, often of its own document, that are found with little effort. A question is further
    from all passages, and those nearest to it lie in different places, as those of a blend do. The lower of the two
    recalls counts.

    :param held_out: Shape (n, dim), float32, prepared as the index's vectors are.
    """

    def __init__(self, held_out: Floats) -> None:
        faiss = import_faiss()
        blends = sum((np.roll(held_out, shift, axis=0) for shift in range(1, _BLENDED)), start=held_out)
        self._queries = np.concatenate([held_out, blends])
        self._nearest = [faiss.ResultHeap(len(self._queries), TOP_K, keep_max=True) for _ in _STRIDES]
        self._last_row = 0

    def watch(self, rows: Rows, vectors: Floats) -> None:
        """Compare vectors that are added to the index with the held-out ones.

        :param rows: Their row numbers, shape (n,), ascending.
        :param vectors: Shape (n, dim), float32.
        """
        faiss = import_faiss()
        self._last_row = max(self._last_row, int(rows[-1]))
        for stride, nearest in zip(_STRIDES, self._nearest, strict=True):
            kept = rows % stride == 0
            if kept.any():
                scores, places = faiss.knn(
                    self._queries,
                    np.ascontiguousarray(vectors[kept]),
                    min(TOP_K, int(kept.sum())),
                    faiss.METRIC_INNER_PRODUCT,
                )
                nearest.add_result(scores, rows[kept][places])

    def choose(self, index_type: IndexType, index: Any, target: float) -> tuple[float, list[tuple[float, int]]]:
        """Find the least effort that reaches a recall.

        :param index_type: The index's type.
        :param index: The index, with all vectors that were watched in it.
        :param target: The recall, over 0 and at most 1.
        :returns: The recall without a filter; for shares of the vectors, largest first, the effort.
        """
        target += (1 - target) * _RESERVE
        efforts: list[tuple[float, int]] = []
        reached = 0.0
        possible = index_type.efforts(index)
        for stride, nearest in zip(_STRIDES, self._nearest, strict=True):
            nearest.finalize()
            allowed = None if stride == 1 else self._every(stride)
            for effort in possible:
                recall = self._recall(index_type, index, effort, allowed, nearest.I)
                if recall >= target:
                    break
            efforts.append((1 / stride, effort))
            reached = recall if stride == 1 else reached
            possible = possible[possible.index(effort) :]
        return reached, efforts

    def _every(self, stride: int) -> Bits:
        rows = np.arange((self._last_row // 8 + 1) * 8)
        return np.packbits(rows % stride == 0, bitorder="little")

    def _recall(self, index_type: IndexType, index: Any, effort: int, allowed: Bits | None, nearest: Rows) -> float:
        """Candidates are compared exactly before they are returned: one of the nearest among them is found."""
        _, found = index_type.search(index, self._queries, candidates(TOP_K), effort, allowed)
        hits = np.array([np.isin(true, rows).sum() for true, rows in zip(nearest, found, strict=True)])
        possible = (nearest >= 0).sum(axis=1)
        return min(float(hits[half].sum() / max(1, possible[half].sum())) for half in np.split(np.arange(hits.size), 2))
