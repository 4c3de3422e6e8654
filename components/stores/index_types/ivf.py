"""Vectors in clusters, a byte a dimension."""

from typing import Any

import numpy as np

from lodestone.components.stores.index_types.index_type import Bits, Floats, IndexType, Rows, import_faiss, selector

_SAMPLES_PER_CLUSTER = 50  # faiss asks for 39 at least
_TRAINING_ROUNDS = 10
_STEP = 1.25  # from one effort to the next


class Ivf(IndexType):
    """Clusters of vectors whose dimensions are rounded to a byte each; the effort is how many clusters are looked at.

    Fast to build and to add to, and small: made for millions.
    """

    name = "ivf"
    exact = False
    removes = True
    gpu = True

    def sample_size(self, vectors: int) -> int:
        """Enough vectors for each cluster."""
        return min(vectors, _clusters(vectors) * _SAMPLES_PER_CLUSTER)

    def create(self, dim: int, vectors: int, sample: Floats) -> Any:
        """Find the clusters, and make an empty index."""
        faiss = import_faiss()
        clusters = max(1, min(_clusters(vectors), len(sample)))
        # The quantizer is handed over by keyword, so that faiss's Python layer keeps it alive.
        index = faiss.IndexIVFScalarQuantizer(
            faiss.IndexFlatIP(dim), dim, clusters, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
        )
        # Centroids of length 1: with inner products the longest would draw all vectors to itself.
        index.cp.spherical = True
        index.cp.niter = _TRAINING_ROUNDS
        index.cp.min_points_per_centroid = 1
        index.train(sample)
        return index

    def ids(self, index: Any) -> Rows:
        """Row numbers of the vectors in it."""
        faiss = import_faiss()
        lists = index.invlists
        parts = [
            faiss.rev_swig_ptr(lists.get_ids(number), lists.list_size(number)).copy()
            for number in range(lists.nlist)
            if lists.list_size(number)
        ]
        return np.concatenate([np.empty(0, dtype=np.int64), *parts])

    def efforts(self, index: Any) -> list[int]:
        """Numbers of clusters, up to all of them."""
        clusters = int(index.nlist)
        efforts = [1]
        while efforts[-1] < clusters:
            efforts.append(min(clusters, max(efforts[-1] + 1, round(efforts[-1] * _STEP))))
        return efforts

    def search(self, index: Any, queries: Floats, count: int, effort: int, allowed: Bits | None) -> tuple[Floats, Rows]:
        """Find the nearest vectors of the nearest clusters."""
        parameters = import_faiss().SearchParametersIVF(nprobe=effort, sel=selector(allowed))
        scores, rows = index.search(queries, count, params=parameters)
        return scores, rows


def _clusters(vectors: int) -> int:
    return max(1, int(4 * vectors**0.5))
