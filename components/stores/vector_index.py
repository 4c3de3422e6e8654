"""Dense search over a store: a saved FAISS index, and beside it in memory what was written since."""

import time
from pathlib import Path
from typing import Any

import numpy as np
from haystack import logging

from lodestone.components.errors import ConfigurationError
from lodestone.components.stores.database import Database
from lodestone.components.stores.index_types import INDEX_TYPES, Bits, Floats, Rows, chosen_type, import_faiss, threads
from lodestone.components.stores.index_types.gpu import check_gpu
from lodestone.components.stores.passage_table import PassageTable
from lodestone.components.stores.saved_vectors import (
    ABOUT,
    DATA,
    AboutVectors,
    Hits,
    SavedVectors,
    ranked,
)
from lodestone.components.stores.settings import StoreSettings
from lodestone.components.stores.vector_builder import VectorBuilder, prepared

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 0.1
_MOST_RECENT = 30_000  # vectors that are searched one by one beside the saved index before they are added to it
_TOO_MANY_RECENT = 10  # times as many, which are worth a warning
_MOST_DEAD = 0.2  # of the saved index
_FEW_ROWS = 256  # that are read from the database and compared, instead of searching for them
_NO_ROWS: Rows = np.empty(0, dtype=np.int64)


class VectorIndex:
    """Inner products with all vectors; row numbers of passages are the ids.

    The saved index is made by `VectorBuilder` and never changed: vectors that came later are in a flat index in memory,
    and passages that were deleted later are masked. Where the saved index has rounded its vectors, what it finds is
    compared again with the vectors in the database, so that scores are exact whatever the type.

    :param folder: The store's folder.
    :param settings: Of the store.
    """

    def __init__(self, folder: Path, settings: StoreSettings) -> None:
        self._folder = folder
        self._settings = settings
        self._normalise = settings.similarity == "cosine"
        self._index_type = settings.index_type
        self._damaged = False  # what is on the disk
        self._forget()

    def _forget(self) -> None:
        self._version: tuple[int, int] | None = None
        self._sequence: int | None = None
        self._start_from(None)

    def _start_from(self, saved: SavedVectors | None) -> None:
        self._saved: SavedVectors | None = saved
        self._recent: Any = None
        self._dead = _NO_ROWS
        self._alive: Bits | None = None

    def catch_up(self, database: Database) -> None:
        """Bring the index to the state of the database's snapshot that is open.

        :param database: The store's database.
        """
        sequence = database.sequence
        self._index_type = self._settings.index_type_of(database)
        if self._sequence == sequence:
            return
        if self._sequence is not None and self._sequence > sequence:  # the database was put back from an older copy
            self._forget()
        if self._sequence is None and self._settings.device == "gpu":
            check_gpu()
        try:
            self._read(database, sequence)
        except BaseException:  # vectors that were read so far would be read, and found, twice
            self._forget()
            raise
        if self._recent_count > _TOO_MANY_RECENT * _MOST_RECENT:
            logger.warning(
                "{count} vectors of {folder} are not in its saved index, as a writer was killed or is at work: until "
                "it saves, each process that searches takes time and memory for them. To save them now, run "
                "`lodestone store compact --index {folder}`",
                count=self._recent_count,
                folder=str(self._folder),
            )

    def _read(self, database: Database, sequence: int) -> None:
        if self._sequence is None or self._version != self._version_on_disk():
            self._load(database, sequence)
        table = PassageTable(database)
        start = 0 if self._sequence is None else self._sequence
        saved = None if self._saved is None else self._saved.about
        deleted_since = saved.deletions if saved is not None and saved.sequence == start else start
        self._remove(table.deleted_after(deleted_since, start))
        for rows, vectors in table.vectors_between(start, sequence):
            if self._recent is None:
                self._recent = INDEX_TYPES["flat"].create(vectors.shape[1], 0, vectors)
            self._recent.add_with_ids(prepared(vectors, self._normalise), rows)
        self._sequence = sequence

    def _remove(self, deleted: Rows) -> None:
        if self._recent is not None and deleted.size:
            self._recent.remove_ids(import_faiss().IDSelectorBatch(deleted))
        if self._saved is None:
            return
        dead = deleted[deleted <= self._saved.about.sequence]
        if dead.size:
            self._dead = np.union1d(self._dead, dead)
            alive = np.ones((self._saved.about.sequence // 8 + 1) * 8, dtype=bool)
            alive[self._dead] = False
            self._alive = np.packbits(alive, bitorder="little")

    @property
    def is_unsaved(self) -> bool:
        """Whether the index in memory holds more than the saved one, and little enough to be saved in passing."""
        return (self._recent_count > 0 or self._dead.size > 0) and self._count <= _MOST_RECENT

    def is_due(self, database: Database) -> bool:
        """Whether the saved index should be made anew, or larger, while the store is used.

        :param database: The store's database.
        """
        saved = self.saved(database) if self._sequence is None else None if self._saved is None else self._saved.about
        if database.get_property("embedding_dim") is None:
            return False
        if self._not_saved(database, 0 if saved is None else saved.sequence) > _MOST_RECENT:
            return True
        if saved is None or self._sequence is None:
            return False
        wanted = chosen_type(self._index_type, self._count, saved.index_type)
        return wanted.name != saved.index_type or self._dead.size > saved.vectors * _MOST_DEAD

    def _not_saved(self, database: Database, after: int) -> int:
        """How many vectors are not in the saved index; where counting takes time, only if they may be many."""
        if self._sequence == database.sequence:
            return self._recent_count
        passages = database.sequence - after
        return passages if passages <= _MOST_RECENT else PassageTable(database).count_vectors(after)

    @property
    def _recent_count(self) -> int:
        return 0 if self._recent is None else int(self._recent.ntotal)

    @property
    def _count(self) -> int:
        return self._recent_count + (0 if self._saved is None else int(self._saved.index.ntotal) - self._dead.size)

    def problem(self, database: Database) -> str | None:
        """What is wrong with the saved index; None if nothing is, or there is none.

        :param database: The store's database; its snapshot must be open.
        """
        if not (self._folder / DATA).exists() and not (self._folder / ABOUT).exists():
            return None
        try:
            SavedVectors.read(self._folder, database, self._normalise)
        except (OSError, ValueError, RuntimeError) as error:
            return str(error)
        return None

    def rows(self) -> Rows:
        """Row numbers of the vectors that can be found, shape (n,)."""
        found = [_NO_ROWS] if self._recent is None else [import_faiss().vector_to_array(self._recent.id_map)]
        if self._saved is not None:
            found.append(np.setdiff1d(self._saved.rows(), self._dead))
        return np.concatenate(found)

    def search(self, database: Database, query: Floats, top_k: int, rows: Rows | None = None) -> Hits:
        """Find the nearest vectors.

        :param database: The store's database; its snapshot, to which `catch_up` came, must be open.
        :param query: Shape (dim,), float32.
        :param top_k: How many at most.
        :param rows: The only rows that may be found, shape (n,), ascending; None for all.
        :returns: Row and score, larger is better, equal scores by row.
        """
        wanted = prepared(query[None, :], self._normalise)
        if rows is not None and rows.size == 0:
            return []
        with threads(1):
            if self._saved is None or self._saved.exact:
                return self._candidates(wanted, top_k, rows)[:top_k]
            if rows is None or rows.size > _FEW_ROWS:
                rows = np.array(sorted(row for row, _ in self._candidates(wanted, top_k, rows)), dtype=np.int64)
            return self._compared(database, wanted, top_k, rows)

    def _candidates(self, query: Floats, top_k: int, rows: Rows | None) -> Hits:
        """Hits of both parts, best first; of an index that is not exact more than were asked for."""
        allowed = None if rows is None else _bitmap(rows)
        hits: Hits = []
        if self._saved is not None:
            matching, share = self._saved.about.vectors, 1.0
            if rows is not None:
                matching = int(np.searchsorted(rows, self._saved.about.sequence, side="right"))
                share = matching / max(1, self._saved.about.vectors - self._dead.size)
            hits = self._saved.search(query, top_k, self._alive if rows is None else allowed, matching, share)
        if self._recent_count:
            limit = self._recent_count if rows is None else min(self._recent_count, rows.size)
            hits += ranked(INDEX_TYPES["flat"], self._recent, query, top_k, allowed, limit, 1)
        return sorted(hits, key=lambda hit: (-hit[1], hit[0]))

    def _compared(self, database: Database, query: Floats, top_k: int, rows: Rows) -> Hits:
        """The best of some rows, by their vectors in the database."""
        found, vectors = PassageTable(database).vectors_of(rows)
        if found.size == 0:
            return []
        flat = INDEX_TYPES["flat"]
        index = flat.create(vectors.shape[1], found.size, vectors)
        index.add_with_ids(prepared(vectors, self._normalise), found)
        return ranked(flat, index, query, top_k, None, found.size, 1)

    def save(self, database: Database, compact: bool = False) -> None:
        """Bring the saved index up to date where that is due: whole, or, if this is killed, not at all.

        :param database: The store's database; its snapshot must be open.
        :param compact: Whether to do so also if it is not due.
        """
        about = self.saved(database)
        if not self._must_save(about, database, compact):
            return
        builder = self.builder(database)
        try:
            built = builder.build(database)
            self.install(builder, built, database)
        finally:
            builder.discard()

    def builder(self, database: Database) -> VectorBuilder:
        """What makes the saved index hold all that the database's snapshot has.

        :param database: The store's database; its snapshot must be open.
        """
        return VectorBuilder(
            self._folder,
            self._normalise,
            self._settings.index_type_of(database),
            self._settings.target_recall,
            database.sequence,
            self.saved(database),
        )

    def install(self, builder: VectorBuilder, built: AboutVectors, database: Database) -> None:
        """Use what a builder has made from now on, unless something newer was saved, or the store replaced, meanwhile.

        :param builder: The builder.
        :param built: What it has returned.
        :param database: The store's database; its snapshot must be open.
        """
        saved = self.saved(database)
        newer = saved is not None and saved.sequence > built.sequence
        if newer or not built.fits(database, self._normalise) or built.sequence > database.sequence:
            return
        builder.install(built)
        self._damaged = False
        if self._sequence is not None:
            self._forget()
            self.catch_up(database)

    def saved(self, database: Database) -> AboutVectors | None:
        """What is saved, if it is of this store.

        :param database: The store's database; its snapshot must be open.
        """
        about = None if self._damaged else AboutVectors.read(self._folder)
        if about is None or not about.fits(database, self._normalise) or about.sequence > database.sequence:
            return None
        return about

    def _must_save(self, about: AboutVectors | None, database: Database, compact: bool) -> bool:
        if about is None:
            return True
        table = PassageTable(database)
        added = table.count_vectors(after=about.sequence)
        dead = table.deleted_after(about.deletions, about.sequence).size
        count = max(0, about.vectors - dead) + added
        wanted = chosen_type(self._settings.index_type_of(database), count, about.index_type)
        if wanted.name != about.index_type:
            return True
        if compact or count <= _MOST_RECENT:
            return about.sequence < database.sequence or dead > 0
        return added > _MOST_RECENT or dead > about.vectors * _MOST_DEAD

    def _version_on_disk(self) -> tuple[int, int] | None:
        try:
            status = (self._folder / ABOUT).stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns

    def _load(self, database: Database, sequence: int) -> None:
        """Load the saved index; whatever is wrong with it, the vectors in the database stand in for it."""
        for attempt in range(2):
            self._version = self._version_on_disk()
            if self._version is None and not (self._folder / DATA).exists():
                return
            try:
                saved = SavedVectors.read(self._folder, database, self._normalise, self._settings.device)
            except ConfigurationError:
                raise
            except (OSError, ValueError, RuntimeError) as error:
                if attempt == 0:  # a writer in another process may be between its two files
                    time.sleep(_RETRY_SECONDS)
                    continue
                path = str(self._folder / DATA)
                logger.warning("{path} is rebuilt from the database: {error}", path=path, error=str(error))
                self._damaged = True
                return
            if saved.about.sequence > sequence:  # saved after this snapshot began, or the database is an older copy
                self._version = None
                return
            self._damaged = False
            self._start_from(saved)
            self._sequence = saved.about.sequence
            return


def _bitmap(rows: Rows) -> Bits:
    """One bit a row number, least significant first, as faiss's IDSelectorBitmap reads it."""
    bits = np.zeros((int(rows[-1]) // 8 + 1) * 8, dtype=bool)
    bits[rows] = True
    return np.packbits(bits, bitorder="little")
