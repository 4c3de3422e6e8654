"""What is in a folder, in the order of names; where that is very much, sorted on the disk."""

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from itertools import islice
from types import TracebackType
from typing import NamedTuple, Self

from lodestone.indexing.job_tables import JobTables

# So many are sorted in memory.
_FEW = 10_000
_SCHEMA = "CREATE TABLE entries (name BLOB, is_folder INTEGER, is_link INTEGER)"


class Entry(NamedTuple):
    """Something in a folder.

    :param name: Its name.
    :param is_folder: Whether it is a folder, and no link to one.
    :param is_link: Whether it is a symbolic link.
    """

    name: str
    is_folder: bool
    is_link: bool


class Listing:
    """What is in a folder, without what is hidden. It is a context, within which it can be read.

    :param folder: The folder.
    :raises OSError: If it cannot be listed.
    """

    def __init__(self, folder: str) -> None:
        self._stack = ExitStack()
        self._tables: JobTables | None = None
        with os.scandir(folder) as found:
            entries = (
                Entry(each.name, each.is_dir(follow_symlinks=False), each.is_symlink())
                for each in found
                if not each.name.startswith(".")
            )
            self._few = sorted(islice(entries, _FEW))
            if len(self._few) == _FEW:
                self._spool(entries)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def folders(self) -> Iterator[Entry]:
        """The folders."""
        return self._those(is_folder=True)

    def others(self) -> Iterator[Entry]:
        """What is no folder."""
        return self._those(is_folder=False)

    def _those(self, is_folder: bool) -> Iterator[Entry]:
        if self._tables is None:
            yield from (entry for entry in self._few if entry.is_folder == is_folder)
            return
        sql = "SELECT name, is_folder, is_link FROM entries WHERE is_folder = ? ORDER BY name"
        for name, *kind in self._tables.rows(sql, (is_folder,)):
            yield Entry(os.fsdecode(name), bool(kind[0]), bool(kind[1]))

    def _spool(self, rest: Iterable[Entry]) -> None:
        self._tables = self._stack.enter_context(closing(JobTables(_SCHEMA)))
        for entries in (self._few, rest):
            rows = ((os.fsencode(name), *kind) for name, *kind in entries)
            self._tables.run_many("INSERT INTO entries VALUES (?, ?, ?)", rows)
        self._few = []
