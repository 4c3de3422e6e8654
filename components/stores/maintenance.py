"""The part of a store for its keepers: checking, rebuilding, writing out and reading back."""

import errno
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from lodestone.components.errors import ConfigurationError, LodestoneError
from lodestone.components.stores.database import Database
from lodestone.components.stores.exporting import Counts, Exporter
from lodestone.components.stores.files import disk_full, replace_file
from lodestone.components.stores.importing import Importer
from lodestone.components.stores.ledger_store import LedgerStore
from lodestone.components.stores.verification import Verification, verify


class MaintainedStore(LedgerStore):
    """A store that can be checked, rebuilt, exported and imported."""

    def verify(self) -> Verification:
        """Check all that the store holds: the database's structure, the checksums and dimensions of everything in
        it, and that dense search, BM25 and SQL know the same passages. Nothing is changed.

        :returns: What was counted, and what is wrong.
        :raises ConfigurationError: If there is no store, or its database is so damaged that it cannot be opened.
        """
        with self._opened(salvage=True) as database:
            self._settings.check(database)
            return verify(database, self._folder, self._settings)

    def rebuild(self) -> None:
        """Make the search indexes again from the database, and save them.

        :raises ConfigurationError: If there is no store, or its database is damaged.
        :raises LodestoneError: If another process is writing.
        """
        self._require()
        self._core.rebuild()

    def compact(self) -> dict[str, Any]:
        """Take what was deleted out of the indexes, add what is new, and give unused space of the database back.

        :returns: `vectors`, `index_type` and `recall` of the saved vector index, and `freed_bytes`.
        :raises ConfigurationError: If there is no store.
        :raises LodestoneError: If another process is writing, or the disk is full.
        """
        self._require()
        return self._core.compact()

    def set_index_type(self, index_type: str) -> None:
        """Search vectors in another way from now on, in all processes that open the store with index_type "auto".

        The index is made again from the vectors in the database: nothing is embedded again.

        :param index_type: "auto" (by size), "flat", "hnsw" or "ivf".
        :raises ConfigurationError: If it is none of these, or the store was opened with another one than "auto".
        :raises LodestoneError: If another process is writing, or the disk is full.
        """
        self._core.set_index_type(index_type)

    def export_to(self, path: str | Path, salvage: bool = False) -> Counts:
        """Write all that the store holds into a file of JSON lines: passages with their vectors, the ledger of files
        with their texts, and settings. It may be searched and written to meanwhile.

        :param path: The file, which appears when it is complete; "-" for standard output.
        :param salvage: Leave out what cannot be read in a damaged database, and files of the ledger that have lost
            passages, so that they are indexed again.
        :returns: How much was written, and left out.
        :raises ConfigurationError: If there is no store, or its database is damaged and not to be salvaged.
        :raises LodestoneError: If the disk is full.
        """
        with self._opened(salvage) as database, database.snapshot(), writing(path) as file:
            exporter = Exporter(database, salvage)
            for line in exporter.lines():
                file.write(line.encode())
        return exporter.counts

    def import_from(self, path: str | Path) -> Counts:
        """Fill the store, which must be empty, with what `export_to` wrote: all of it or nothing.

        :param path: The file; "-" for standard input.
        :returns: How much was read.
        :raises ConfigurationError: If a line is wrong, with its number; if lines are missing; if the store is not
            empty, or was created with other settings.
        :raises LodestoneError: If another process is writing, or the disk is full.
        """
        before = set(self._folder.iterdir()) if self._folder.is_dir() else None
        is_new, is_ours = not self.exists(), False
        with reading(path) as file:
            try:
                with self._core.writing() as database:
                    # Another process may have filled it since.
                    is_new = is_new and database.sequence == 0
                    is_ours = True
                    importer = Importer(database, self._settings, str(path))
                    importer.read(file)
            except BaseException:
                if is_new and is_ours:
                    self._remove(before)
                raise
        return importer.counts

    def _remove(self, spared: set[Path] | None) -> None:
        """Leave the folder as it was before there was a store.

        :param spared: What was in it; None if there was no folder.
        """
        self._core.close()
        if spared is None:
            shutil.rmtree(self._folder, ignore_errors=True)
            return
        for made in set(self._folder.iterdir()) - spared:
            shutil.rmtree(made, ignore_errors=True) if made.is_dir() else made.unlink(missing_ok=True)

    def _require(self) -> None:
        if not self.exists():
            raise ConfigurationError(f"there is no store in {self._folder}")

    @contextmanager
    def _opened(self, salvage: bool) -> Iterator[Database]:
        """A connection of its own, so that the others need not wait."""
        self._require()
        database = Database(self._folder / "passages.sqlite", salvage=salvage)
        try:
            if database.needs_migration:
                with self._core.reading():
                    pass
            yield database
        finally:
            database.close()


@contextmanager
def writing(path: str | Path) -> Iterator[BinaryIO]:
    """A file that appears when it is complete; "-" for standard output."""
    if str(path) == "-":
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    path = Path(path)
    in_place = path.exists() and not path.is_file()  # a pipe or a device is not to be replaced by a file
    temporary = path if in_place else path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            yield file
        if not in_place:
            replace_file(temporary, path)
    except BaseException as error:
        if not in_place:
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise disk_full(path.parent, f"{path.name} was not written") from error
        raise


@contextmanager
def reading(path: str | Path) -> Iterator[BinaryIO]:
    """A file; "-" for standard input."""
    if str(path) == "-":
        yield sys.stdin.buffer
        return
    with ExitStack() as stack:
        try:
            file = stack.enter_context(Path(path).open("rb"))
        except OSError as error:
            raise LodestoneError(f"{path} cannot be read: {error.strerror}") from error
        yield file
