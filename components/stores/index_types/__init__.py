"""How vectors are searched: exactly, through a graph, or in clusters; and which of these a store takes."""

from lodestone.components.stores.index_types.flat import Flat
from lodestone.components.stores.index_types.hnsw import Hnsw
from lodestone.components.stores.index_types.index_type import Bits, Floats, IndexType, Rows, import_faiss, threads
from lodestone.components.stores.index_types.ivf import Ivf

INDEX_TYPES: dict[str, IndexType] = {index_type.name: index_type for index_type in (Flat(), Hnsw(), Ivf())}
AUTO = "auto"
FLAT_UP_TO = 100_000  # exact, in some milliseconds


def chosen_type(setting: str, vectors: int, current: str | None = None) -> IndexType:
    """The index type for a number of vectors.

    :param setting: "auto" or a key of `INDEX_TYPES`.
    :param vectors: How many there are.
    :param current: The type in use; "auto" stays with it until there are half as many as would bring it in.
    """
    if setting != AUTO:
        return INDEX_TYPES[setting]
    limit = FLAT_UP_TO if current in (None, Flat.name) else FLAT_UP_TO // 2
    return INDEX_TYPES[Flat.name if vectors <= limit else Ivf.name]


__all__ = [
    "AUTO",
    "INDEX_TYPES",
    "Bits",
    "Flat",
    "Floats",
    "Hnsw",
    "IndexType",
    "Ivf",
    "Rows",
    "chosen_type",
    "import_faiss",
    "threads",
]
