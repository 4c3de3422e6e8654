"""The FAISS index of a store: derived from the vectors in the database, kept in memory, saved beside it."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from haystack import logging

from lodestone.components.errors import LodestoneError
from lodestone.components.stores.database import Database
from lodestone.components.stores.files import checksum, read_json, replace_file, write_json
from lodestone.components.stores.passage_table import PassageTable

if TYPE_CHECKING:
    import faiss

logger = logging.getLogger(__name__)

FORMAT = 1
INDEX_TYPE = "Flat"
_RETRY_SECONDS = 0.1
_TIES = 16  # more than asked for are fetched, so that equal scores at the end can be put in order

Floats = np.ndarray[Any, np.dtype[np.float32]]
Rows = np.ndarray[Any, np.dtype[np.int64]]


def import_faiss() -> Any:
    """Import faiss, which is an optional part of the installation.

    :raises LodestoneError: If it is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise LodestoneError(
            "searching by vectors needs faiss: pip install 'lodestone[cpu]' (or 'lodestone[gpu]' for NVIDIA GPUs)"
        ) from error
    return faiss


class VectorIndex:
    """Inner products with all vectors; row numbers of passages are the ids.

    :param folder: The store's folder.
    :param normalise: Whether vectors are brought to length 1 first, which makes the inner product the cosine.
    """

    def __init__(self, folder: Path, normalise: bool) -> None:
        self._data, self._about = folder / "vectors.faiss", folder / "vectors.json"
        self._normalise = normalise
        self._index: faiss.IndexIDMap | None = None
        self._sequence = 0
        self._saved_sequence = -1

    def catch_up(self, database: Database) -> None:
        """Bring the index to the state of the database's snapshot that is open.

        :param database: The store's database.
        """
        sequence = database.sequence
        if self._index is None:
            self._load(database)
        if self._sequence > sequence:  # the database was put back from an older copy
            self._index, self._sequence = None, 0
        if self._sequence == sequence:
            return
        table = PassageTable(database)
        if self._index is not None:
            deleted = table.deleted_after(self._sequence, self._sequence)
            if deleted.size:
                self._index.remove_ids(import_faiss().IDSelectorBatch(deleted))
        for batch in table.vectors_after(self._sequence):
            vectors = np.frombuffer(b"".join(vector for _, vector in batch), dtype=np.float32).reshape(len(batch), -1)
            if self._index is None:
                faiss = import_faiss()
                self._index = faiss.IndexIDMap(faiss.IndexFlatIP(vectors.shape[1]))
            rows = np.fromiter((row for row, _ in batch), dtype=np.int64, count=len(batch))
            self._index.add_with_ids(self._prepare(vectors), rows)
        self._sequence = sequence

    @property
    def is_unsaved(self) -> bool:
        """Whether the index in memory holds more than the saved one."""
        return self._index is not None and self._sequence != self._saved_sequence

    def problem(self, database: Database) -> str | None:
        """What is wrong with the saved index; None if nothing is, or there is none.

        :param database: The store's database; its snapshot must be open.
        """
        if not self._data.exists() and not self._about.exists():
            return None
        try:
            self._read(database)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            return str(error)
        return None

    def rows(self) -> Rows:
        """Row numbers of the vectors that can be found, shape (n,)."""
        if self._index is None:
            return np.empty(0, dtype=np.int64)
        ids: Rows = import_faiss().vector_to_array(self._index.id_map)
        return ids

    def search(self, query: Floats, top_k: int, rows: Rows | None = None) -> list[tuple[int, float]]:
        """Find the nearest vectors.

        :param query: Shape (dim,), float32.
        :param top_k: How many at most.
        :param rows: The only rows that may be found, shape (n,), ascending; None for all.
        :returns: Row and score, larger is better, equal scores by row.
        """
        if self._index is None or self._index.ntotal == 0 or (rows is not None and rows.size == 0):
            return []
        faiss = import_faiss()
        parameters = None
        if rows is not None:
            parameters = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(_bitmap(rows)))
        limit = int(self._index.ntotal if rows is None else min(rows.size, self._index.ntotal))
        prepared, fetch = self._prepare(query[None, :]), top_k
        while True:
            fetch = min(fetch + _TIES, limit)
            scores, found = self._index.search(prepared, fetch, params=parameters)
            hits = sorted(
                ((int(row), float(score)) for row, score in zip(found[0], scores[0], strict=True) if row >= 0),
                key=lambda hit: (-hit[1], hit[0]),
            )
            if fetch == limit or len(hits) < fetch or len(hits) <= top_k or hits[top_k - 1][1] > hits[-1][1]:
                return hits[:top_k]
            fetch *= 4

    def save(self, database: Database) -> None:
        """Write the index to the disk, if it is behind: whole, or, if this is killed, not at all.

        :param database: The store's database; its snapshot must be open.
        """
        if self._saved_sequence == database.sequence:
            return
        if self._index is None:
            about = read_json(self._about)
            if about is not None and self._fits(about, database) and about["sequence"] == database.sequence:
                return
        self.catch_up(database)
        if self._index is None:
            return
        faiss = import_faiss()
        temporary = self._data.with_name(self._data.name + ".tmp")
        faiss.write_index(self._index, str(temporary))
        about = {
            "format": FORMAT,
            "store_id": database.get_property("store_id"),
            "index_type": INDEX_TYPE,
            "normalised": self._normalise,
            "dim": int(self._index.d),
            "vectors": int(self._index.ntotal),
            "sequence": self._sequence,
            "crc32": checksum(temporary),
        }
        replace_file(temporary, self._data)
        write_json(self._about, about)
        self._saved_sequence = self._sequence

    def _prepare(self, vectors: Floats) -> Floats:
        if not self._normalise:
            return np.ascontiguousarray(vectors)
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
        return (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)

    def _fits(self, about: dict[str, Any], database: Database) -> bool:
        return (
            about.get("format") == FORMAT
            and about.get("store_id") == database.get_property("store_id")
            and about.get("normalised") == self._normalise
            and isinstance(about.get("sequence"), int)
        )

    def _load(self, database: Database) -> None:
        """Load the saved index; whatever is wrong with it, the vectors in the database make a new one."""
        self._index, self._sequence = None, 0
        for attempt in range(2):
            if not self._data.exists() and not self._about.exists():
                return
            try:
                self._index, self._sequence = self._read(database)
            except (OSError, ValueError, RuntimeError, KeyError) as error:
                if attempt == 0:  # a writer in another process may be between its two files
                    time.sleep(_RETRY_SECONDS)
                    continue
                logger.warning("{path} is rebuilt from the database: {error}", path=str(self._data), error=str(error))
                return
            self._saved_sequence = self._sequence
            return

    def _read(self, database: Database) -> "tuple[faiss.IndexIDMap, int]":
        about = read_json(self._about)
        if about is None:
            raise ValueError(f"{self._about.name} is missing or damaged")
        if not self._fits(about, database):
            raise ValueError(f"{self._about.name} belongs to another store or format")
        if checksum(self._data) != about["crc32"]:
            raise ValueError("its checksum is wrong")
        index = import_faiss().read_index(str(self._data))
        if index.ntotal != about["vectors"]:
            raise ValueError(f"it holds {index.ntotal} vectors, not {about['vectors']}")
        return index, int(about["sequence"])


def _bitmap(rows: Rows) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """One bit a row number, least significant first, as faiss's IDSelectorBitmap reads it."""
    bits = np.zeros((int(rows[-1]) // 8 + 1) * 8, dtype=bool)
    bits[rows] = True
    return np.packbits(bits, bitorder="little")
