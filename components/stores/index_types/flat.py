"""Every vector is compared with the query."""

from typing import Any

from lodestone.components.stores.index_types.index_type import Bits, Floats, IndexType, Rows, import_faiss, selector


class Flat(IndexType):
    """All vectors as they are, compared one by one: exact, and fast for some ten thousand."""

    name = "flat"
    exact = True
    removes = True
    gpu = True

    def sample_size(self, vectors: int) -> int:
        """Nothing is trained."""
        return 0

    def create(self, dim: int, vectors: int, sample: Floats) -> Any:
        """Make an empty index."""
        faiss = import_faiss()
        return faiss.IndexIDMap(faiss.IndexFlatIP(dim))

    def ids(self, index: Any) -> Rows:
        """Row numbers of the vectors in it."""
        ids: Rows = import_faiss().vector_to_array(index.id_map)
        return ids

    def efforts(self, index: Any) -> list[int]:
        """There is one way to look at all."""
        return [1]

    def search(self, index: Any, queries: Floats, count: int, effort: int, allowed: Bits | None) -> tuple[Floats, Rows]:
        """Find the nearest vectors."""
        parameters = None if allowed is None else import_faiss().SearchParameters(sel=selector(allowed))
        scores, rows = index.search(queries, count, params=parameters)
        return scores, rows
