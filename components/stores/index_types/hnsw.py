"""A graph of neighbours, a byte a dimension."""

from typing import Any

import numpy as np

from lodestone.components.stores.index_types.index_type import Bits, Floats, IndexType, Rows, import_faiss, selector

_NEIGHBOURS = 24  # of a vector in the graph, twice as many on the lowest level
_EFFORT_OF_BUILDING = 100
_EFFORTS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096)
_SAMPLE = 50_000  # vectors that tell the range of each dimension


class Hnsw(IndexType):
    """A graph that leads from any vector to its neighbours; the effort is how many vectors are kept in sight.

    Few vectors are compared for a query, but building takes long, and nothing can be taken out of the graph.
    """

    name = "hnsw"
    exact = False
    removes = False
    gpu = False

    def sample_size(self, vectors: int) -> int:
        """Enough vectors to know the range of each dimension."""
        return min(vectors, _SAMPLE)

    def create(self, dim: int, vectors: int, sample: Floats) -> Any:
        """Learn the ranges, and make an empty index."""
        faiss = import_faiss()
        graph = faiss.IndexHNSWSQ(dim, faiss.ScalarQuantizer.QT_8bit, _NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = _EFFORT_OF_BUILDING
        graph.train(sample)
        return faiss.IndexIDMap(graph)

    def ids(self, index: Any) -> Rows:
        """Row numbers of the vectors in it."""
        ids: Rows = import_faiss().vector_to_array(index.id_map)
        return ids

    def efforts(self, index: Any) -> list[int]:
        """Lengths of the list of candidates; 0, the last, compares every vector that may be found."""
        return [*_EFFORTS, 0]

    def search(self, index: Any, queries: Floats, count: int, effort: int, allowed: Bits | None) -> tuple[Floats, Rows]:
        """Find the nearest vectors by walking through the graph."""
        faiss = import_faiss()
        if effort == 0:
            return _scan(index, queries, count, allowed)
        parameters = faiss.SearchParametersHNSW(efSearch=max(effort, count), sel=selector(allowed))
        scores, rows = index.search(queries, count, params=parameters)
        return scores, rows


def _scan(index: Any, queries: Floats, count: int, allowed: Bits | None) -> tuple[Floats, Rows]:
    """Compare the vectors that the graph stands on, whatever the graph says."""
    faiss = import_faiss()
    ids = faiss.vector_to_array(index.id_map)
    parameters = None
    if allowed is not None:
        bits = np.unpackbits(allowed, bitorder="little")
        kept = np.zeros((ids.size + 7) // 8 * 8, dtype=bool)
        known = ids < bits.size
        kept[: ids.size][known] = bits[ids[known]]
        parameters = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(np.packbits(kept, bitorder="little")))
    storage = faiss.downcast_index(faiss.downcast_index(index.index).storage)
    scores, places = storage.search(queries, count, params=parameters)
    return scores, np.where(places < 0, -1, ids[places])
