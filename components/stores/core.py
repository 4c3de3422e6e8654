"""What all store objects of a process that name one folder share: the database, the derived indexes, the lock."""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from haystack import Document, logging

from lodestone.components.errors import ConfigurationError, LodestoneError
from lodestone.components.stores.database import Database
from lodestone.components.stores.files import disk_full, is_full, remove_temporary_files, size_of
from lodestone.components.stores.history import remove_indexes, remove_newer_indexes
from lodestone.components.stores.index_types import AUTO
from lodestone.components.stores.linked_folder import is_writable
from lodestone.components.stores.metadata_indexes import create_wanted
from lodestone.components.stores.migrations import FORMAT_VERSION
from lodestone.components.stores.passage_table import PassageTable, Vector, to_vector
from lodestone.components.stores.pause import Pause
from lodestone.components.stores.saved_vectors import AboutVectors
from lodestone.components.stores.settings import INDEX_TYPE, StoreSettings, check_index_type
from lodestone.components.stores.text_index import Rows
from lodestone.components.stores.text_search import TextSearch
from lodestone.components.stores.vector_builder import VectorBuilder
from lodestone.components.stores.vector_index import VectorIndex
from lodestone.components.stores.vector_upkeep import VectorUpkeep
from lodestone.components.stores.words import split_phrases, without_quotes
from lodestone.components.stores.writer_lock import WriterLock

logger = logging.getLogger(__name__)

_UNTIL_MIGRATING_SECONDS = 2.0  # from the lock for writers to the transaction of a migration


class StoreCore:
    """An opened folder. Threads take turns.

    :param folder: Real path of the store's folder.
    :param settings: What the store is created with, and must have been created with.
    """

    def __init__(self, folder: Path, settings: StoreSettings) -> None:
        self.folder = folder
        self.settings = settings
        self._path = folder / "passages.sqlite"
        self._lock = threading.RLock()
        self._database: Database | None = None
        self._inode: tuple[int, int] | None = None
        self._writer_lock = WriterLock(folder)
        self._vectors = VectorIndex(folder, settings)
        self._pause = Pause()
        self._upkeep = VectorUpkeep(self._path, self._pause)
        self._texts = TextSearch(folder, settings.language, self._writer_lock, self._pause)

    @property
    def is_open(self) -> bool:
        """Whether files are open or the writer's lock is held."""
        return self._database is not None or self._writer_lock.held

    @contextlib.contextmanager
    def reading(self) -> Iterator[Database | None]:
        """One state of the database; None if the store does not exist yet."""
        with self._lock:
            database = self._open()
            if database is None:
                yield None
                return
            with database.snapshot():
                yield database
            create_wanted(database, self._writer_lock)

    @contextlib.contextmanager
    def writing(self) -> Iterator[Database]:
        """One transaction, acknowledged when the block has been left. The first one takes the writer's lock.

        :raises LodestoneError: If another process is writing.
        """
        with self._lock:
            self._forget_removed_folder()
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ConfigurationError(f"{self.folder} cannot be made a store's folder: {error}") from error
            database = self._open_for_writing()
            with database.transaction():
                before, changes = database.sequence, database.total_changes
                yield database
                if database.total_changes != changes:
                    database.set_property("last_write", repr(time.time()))
                text_changed = database.sequence != before
            if text_changed:
                self._pause.wrote()
                self._texts.follow(database, self._step_of_texts)
                self._build_vectors_if_due(database)

    def search_vectors(
        self, query: list[float], filters: dict[str, Any] | None, top_k: int, with_embedding: bool
    ) -> list[Document]:
        """Nearest documents, best first."""
        vector = to_vector(query, "query_embedding")
        with self.reading() as database:
            if database is None:
                return []
            table = PassageTable(database)
            rows = table.allowed(filters)
            return _scored(table, self.nearest(database, vector, top_k, rows), with_embedding)

    def search_texts(
        self, query: str, filters: dict[str, Any] | None, top_k: int, with_embedding: bool
    ) -> list[Document]:
        """Documents with the query's words, best first."""
        with self.reading() as database:
            if database is None:
                return []
            table = PassageTable(database)
            rows = table.allowed(filters)
            hits, _ = self.found_by_words(database, query, top_k, rows)
            return _scored(table, hits, with_embedding)

    def nearest(self, database: Database, query: Vector, top_k: int, rows: Rows | None) -> list[tuple[int, float]]:
        """Rows and scores of the passages nearest to a vector, best first.

        :param database: A snapshot of it must be open.
        :param query: Shape (dim,), float32.
        :param top_k: How many at most.
        :param rows: The only rows that may be found, shape (n,), ascending; None for all.
        """
        dim = database.get_property("embedding_dim")
        if dim is None:
            return []
        if query.size != int(dim):
            raise ConfigurationError(
                f"the query's embedding has {query.size} dimensions, the store's have {dim}: use the embedding "
                "model that the store was indexed with"
            )
        self._vectors.catch_up(database)
        self._build_vectors_if_due(database)
        return self._vectors.search(database, query, top_k, rows)

    def _build_vectors_if_due(self, database: Database) -> None:
        if self._writer_lock.held and not self._upkeep.is_running and self._vectors.is_due(database):
            self._upkeep.start(self._plan_vectors, self._install_vectors)

    def _plan_vectors(self) -> VectorBuilder | None:
        with self._lock:
            if self._database is None or not self._writer_lock.held:
                return None
            with self._database.snapshot():
                return self._vectors.builder(self._database)

    def _install_vectors(self, builder: VectorBuilder, built: AboutVectors) -> None:
        with self._lock:
            if self._database is not None and self._writer_lock.held:
                with self._database.snapshot():
                    self._vectors.install(builder, built, self._database)

    def best_by_words(self, database: Database, query: str, top_k: int, rows: Rows | None) -> list[tuple[int, float]]:
        """Rows and scores of the passages with a query's words, best first.

        :param database: A snapshot of it must be open.
        :param query: Any text.
        :param top_k: How many at most.
        :param rows: The only rows that may be found, shape (n,), ascending; None for all.
        """
        return self._texts.search(database, query, top_k, rows)

    def found_by_words(
        self, database: Database, query: str, top_k: int, rows: Rows | None
    ) -> tuple[list[tuple[int, float]], str]:
        """`best_by_words`, and by which query: without its quotes if no passage has its phrases."""
        hits = self.best_by_words(database, query, top_k, rows)
        if hits or not split_phrases(query)[0]:
            return hits, query
        words = without_quotes(query)
        return self.best_by_words(database, words, top_k, rows), words

    def _step_of_texts(self) -> bool:
        with self._lock:
            if self._database is None or not self._writer_lock.held:
                return False  # what is left was done at closing, or is done at the next opening
            return self._texts.step(self._database)

    def save(self) -> None:
        """Bring the derived indexes on the disk up to date, unless another process is the writer."""
        self._upkeep.wait()
        with self._lock:
            self._save()

    def _save(self, compact: bool = False) -> None:
        self._forget_removed_folder()
        database, held = self._database, self._writer_lock.held
        # A reader that had to index vectors, because a writer was killed, spares the next one the work.
        if database is None or not (held or (self._vectors.is_unsaved and self._writer_lock.try_acquire())):
            return
        try:
            with database.snapshot():
                self._texts.update(database)
                if compact:
                    self._texts.compact(database)
                self._vectors.save(database, compact)
            self._texts.save()
        except LodestoneError:
            raise
        except (OSError, RuntimeError, ValueError) as error:  # faiss and tantivy have no errors of their own
            remove_temporary_files(self.folder)
            raise self._unsaved(error) from error
        finally:
            if not held:
                self._writer_lock.release()

    def _unsaved(self, error: Exception) -> LodestoneError:
        consequence = "the search indexes were not saved, nothing is lost, and the next opening catches up"
        if is_full(self.folder) or "No space left" in str(error):
            return disk_full(self.folder, consequence)
        return LodestoneError(f"{self.folder}: {consequence}: {error}")

    def rebuild(self) -> None:
        """Throw the derived indexes away, make them again from the database, and save them.

        :raises LodestoneError: If another process is writing, or the disk is full.
        """
        self._upkeep.wait()
        with self._lock:
            held = self._writer_lock.held
            self._open_for_writing()
            try:
                self._texts.close()
                self._vectors = VectorIndex(self.folder, self.settings)
                remove_indexes(self.folder)
                self._save()
            finally:
                if not held:
                    self._writer_lock.release()

    def compact(self) -> dict[str, Any]:
        """Take what was deleted out of the indexes, add what is new, and give unused space of the database back.

        :returns: `vectors`, `index_type` and `recall` of the saved index (None without vectors), and `freed_bytes`.
        :raises LodestoneError: If another process is writing, or the disk is full.
        """
        self._upkeep.wait()
        with self._lock:
            held = self._writer_lock.held
            database, before = self._open_for_writing(), size_of(self.folder)
            try:
                self._save(compact=True)
                database.vacuum()
                with database.snapshot():
                    about = self._vectors.saved(database)
            finally:
                if not held:
                    self._writer_lock.release()
        return {
            "vectors": 0 if about is None else about.vectors,
            "index_type": None if about is None else about.index_type,
            "recall": None if about is None else about.recall,
            "freed_bytes": before - size_of(self.folder),
        }

    def set_index_type(self, index_type: str) -> None:
        """Search vectors in another way from now on.

        :param index_type: "auto", "flat", "hnsw" or "ivf".
        :raises ConfigurationError: If it is none of these, or the store was opened with another one than "auto".
        :raises LodestoneError: If another process is writing, or the disk is full.
        """
        check_index_type(index_type)
        opened_with = self.settings.index_type
        if opened_with not in (AUTO, index_type):
            raise ConfigurationError(
                f"{self.folder} is in use with index_type {opened_with!r}: open it with index_type 'auto' or "
                f"{index_type!r} to search by {index_type!r}"
            )
        with self.writing() as database:
            database.set_property(INDEX_TYPE, index_type)
        self.save()

    def close(self) -> None:
        """Save, let other processes write, and close all files. The next use opens them again."""
        self._upkeep.wait()
        with self._lock:
            try:
                self._save()
            except LodestoneError as error:
                logger.warning("{error}", error=str(error))
            finally:
                self._release()

    def _release(self) -> None:
        self._texts.close()
        self._vectors = VectorIndex(self.folder, self.settings)
        if self._database is not None:
            self._database.close()
        self._database = self._inode = None
        self._writer_lock.release()

    def _open_for_writing(self) -> Database:
        held = self._writer_lock.held
        self._writer_lock.acquire()
        try:
            if not held and not self._upkeep.is_running:
                remove_temporary_files(self.folder)  # of a writer that was killed
            database = self._open(create=True)
            if database is None:
                raise LodestoneError(f"{self._path} cannot be opened")
        except BaseException:
            if not held:
                self._writer_lock.release()
            raise
        return database

    def _open(self, create: bool = False) -> Database | None:
        self._forget_removed_folder()
        if self._database is not None:
            return self._database
        if not create and not self._path.is_file():
            return None
        try:
            database = Database(self._path, self.settings.properties() if create else None)
        except sqlite3.Error as error:
            raise ConfigurationError(f"{self._path} cannot be opened: {error}") from error
        try:
            if not database.initialised:
                database.close()
                return None
            if database.needs_migration:
                self._migrate(database)
            self.settings.check(database)
            remove_newer_indexes(database, self.folder, self._writer_lock)
        except BaseException:
            database.close()
            raise
        status = self._path.stat()
        self._database, self._inode = database, (status.st_dev, status.st_ino)
        return database

    def _migrate(self, database: Database) -> None:
        held = self._writer_lock.held
        if not self._writer_lock.try_acquire():
            if self._is_migrated_by_another(database):
                return
            advice = "wait until it is no longer written to, or open it once as a user who may write to the folder"
            raise ConfigurationError(
                f"{self._path} has the older format {database.version}, and cannot be brought to format "
                f"{FORMAT_VERSION} now: {advice}"
            )
        try:
            logger.warning(
                "{path} is brought from format {old} to format {new}, which takes a moment",
                path=str(self._path),
                old=database.version,
                new=FORMAT_VERSION,
            )
            database.migrate()
        finally:
            if not held:
                self._writer_lock.release()

    def _is_migrated_by_another(self, database: Database) -> bool:
        """Whether another process brings the database to today's format meanwhile; it is waited for."""
        deadline = time.monotonic() + _UNTIL_MIGRATING_SECONDS
        while is_writable(self.folder) and time.monotonic() < deadline:
            database.wait_for_writer()
            if not database.needs_migration:
                return True
            time.sleep(0.05)
        return False

    def _forget_removed_folder(self) -> None:
        """Notice that what is open is no longer what the path names: the folder was deleted, replaced or rewritten."""
        if self._database is None:
            return
        try:
            status = self._path.stat()
            if (status.st_dev, status.st_ino) == self._inode and not self._database.is_outdated:
                return
        except FileNotFoundError:
            pass
        self._release()


def _scored(table: PassageTable, hits: list[tuple[int, float]], with_embedding: bool) -> list[Document]:
    documents = table.fetch([row for row, _ in hits], with_embedding)
    scored = []
    for row, score in hits:
        if row in documents:
            scored.append(replace(documents[row], score=score))
    return scored
