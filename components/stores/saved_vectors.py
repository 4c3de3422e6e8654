"""The part of a store's vector index that was built and saved."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lodestone.components.errors import ConfigurationError
from lodestone.components.stores.database import Database
from lodestone.components.stores.files import checksum, read_json
from lodestone.components.stores.index_types import INDEX_TYPES, Bits, Floats, IndexType, Rows, import_faiss
from lodestone.components.stores.index_types.gpu import MOST_EFFORT, MOST_HITS, GpuIndex

FORMAT = 2
DATA, ABOUT = "vectors.faiss", "vectors.json"
_TIES = 16  # more than asked for are fetched, so that equal scores at the end can be put in order
_OVERSAMPLING = 2  # candidates of an index with rounded vectors for each hit that is wanted
_SHARE_TOLERANCE = 1.5

Hits = list[tuple[int, float]]


@dataclass(frozen=True)
class AboutVectors:
    """What vectors.json says.

    :param store_id: Of the store that the vectors are from.
    :param index_type: A key of `INDEX_TYPES`.
    :param normalised: Whether the vectors were brought to length 1.
    :param dim: Length of the vectors.
    :param deletions: Passages that were deleted after this number may be in it still.
    :param built_for: How many vectors there were when the index was built anew: it has grown since.
    :param recall: Recall@10 against exact search, measured when it was built anew.
    :param efforts: For shares of the vectors that a filter keeps, largest first, the effort that reaches the target.
    :param vectors: How many the index holds.
    :param sequence: Passages up to this number of the running sequence are in it.
    :param crc32: Checksum of vectors.faiss.
    :param format: Of the two files.
    """

    store_id: str
    index_type: str
    normalised: bool
    dim: int
    deletions: int
    built_for: int
    recall: float
    efforts: list[tuple[float, int]]
    vectors: int = 0
    sequence: int = 0
    crc32: int = 0
    format: int = FORMAT

    @classmethod
    def read(cls, folder: Path) -> "AboutVectors | None":
        """What the folder's file says; None if there is none, or none that this version can read."""
        value = read_json(folder / ABOUT)
        if value is None or value.get("format") != FORMAT:
            return None
        try:
            return cls(**value)
        except TypeError:
            return None

    def fits(self, database: Database, normalised: bool) -> bool:
        """Whether this is about the vectors of a store.

        :param database: The store's database.
        :param normalised: Whether its vectors must be of length 1.
        """
        return self.store_id == database.get_property("store_id") and self.normalised == normalised


class SavedVectors:
    """Vectors in a FAISS index that does not change any more, mapped from its file.

    :param index: The FAISS index; row numbers of passages are its ids.
    :param about: What it holds.
    :param device: "cpu", or "gpu" to search a copy of it on the first GPU.
    :raises ConfigurationError: If the index type is not made for a GPU, or the index does not fit it.
    """

    def __init__(self, index: Any, about: AboutVectors, device: str) -> None:
        self.index = index
        self.about = about
        self.index_type: IndexType = INDEX_TYPES[about.index_type]
        self._last_effort = self.index_type.efforts(index)[-1]
        if device == "gpu" and not self.index_type.gpu:
            raise ConfigurationError(
                f"index_type {about.index_type!r} cannot be searched on a GPU: use 'ivf' or 'flat', or the CPU"
            )
        self._gpu = GpuIndex(index) if device == "gpu" else None

    @classmethod
    def read(cls, folder: Path, database: Database, normalised: bool, device: str = "cpu") -> "SavedVectors":
        """Map what was saved in a store's folder.

        :param folder: The folder.
        :param database: The store's database.
        :param normalised: Whether its vectors must be of length 1.
        :param device: "cpu" or "gpu".
        :raises ValueError: If it is missing, damaged, or of another store.
        """
        about = AboutVectors.read(folder)
        if about is None:
            raise ValueError(f"{ABOUT} is missing, damaged or of another version")
        if not about.fits(database, normalised):
            raise ValueError(f"{ABOUT} belongs to another store")
        return cls(read_vectors(folder, about, mapped=True), about, device)

    def rows(self) -> Rows:
        """Row numbers of the vectors, shape (n,)."""
        return self.index_type.ids(self.index)

    @property
    def exact(self) -> bool:
        """Whether scores and hits are those of an exact search."""
        return self.index_type.exact

    def search(self, query: Floats, top_k: int, allowed: Bits | None, matching: int, share: float) -> Hits:
        """Find candidates: the nearest vectors if the index is exact, else more than were asked for.

        :param query: Shape (1, dim), float32, prepared as the vectors were.
        :param top_k: How many are wanted.
        :param allowed: One bit a row number, those that may be found; None for all.
        :param matching: How many may be found.
        :param share: What part of all a filter keeps, which tells how hard to look.
        :returns: Rows with scores, which are approximate unless the index is exact; best first, equal ones by row.
        """
        limit = min(matching, int(self.index.ntotal))
        if limit < 1:
            return []
        effort = self._effort(share)
        hits = self._ranked(query, top_k, allowed, limit, effort)
        if len(hits) < min(top_k, limit) and effort != self._last_effort:
            hits = self._ranked(query, top_k, allowed, limit, self._last_effort)
        return hits

    def _effort(self, share: float) -> int:
        for measured, effort in self.about.efforts:
            if measured <= share * _SHARE_TOLERANCE:
                return effort
        return self._last_effort

    def _ranked(self, query: Floats, top_k: int, allowed: Bits | None, limit: int, effort: int) -> Hits:
        wanted = top_k if self.exact else candidates(top_k)
        index = self.index
        if self._gpu is not None and allowed is None and wanted + _TIES <= MOST_HITS and effort <= MOST_EFFORT:
            index, limit = self._gpu.index, min(limit, MOST_HITS)
        return ranked(self.index_type, index, query, wanted, allowed, limit, effort)


def candidates(top_k: int) -> int:
    """How many vectors are looked at exactly where an index has rounded them."""
    return _OVERSAMPLING * top_k + _TIES


def ranked(
    index_type: IndexType, index: Any, query: Floats, count: int, allowed: Bits | None, limit: int, effort: int
) -> Hits:
    """The best hits; where equal scores stand at the end, those with the lowest rows."""
    fetch = count
    while True:
        fetch = min(fetch + _TIES, limit)
        scores, rows = index_type.search(index, query, fetch, effort, allowed)
        hits = sorted(
            ((row, score) for row, score in zip(rows[0].tolist(), scores[0].tolist(), strict=True) if row >= 0),
            key=lambda hit: (-hit[1], hit[0]),
        )
        if fetch == limit or len(hits) < fetch or len(hits) <= count or hits[count - 1][1] > hits[-1][1]:
            return hits[:count]
        fetch *= 4


def remove_vectors(folder: Path) -> None:
    """Remove what was saved.

    :param folder: The store's folder. The writer's lock must be held.
    """
    for name in (ABOUT, DATA):
        (folder / name).unlink(missing_ok=True)


def read_vectors(folder: Path, about: AboutVectors, mapped: bool = False) -> Any:
    """Read what was saved.

    :param folder: The store's folder.
    :param about: What was saved there.
    :param mapped: Whether to map the file, which is fast and shares memory with other processes, instead of reading it
        into memory where the index can be added to.
    :raises ValueError: If the file is damaged.
    """
    if checksum(folder / DATA) != about.crc32:
        raise ValueError("its checksum is wrong")
    faiss = import_faiss()
    return faiss.read_index(str(folder / DATA), faiss.IO_FLAG_MMAP_IFC if mapped else 0)
