"""What a job knows of each document, on the disk: its memory must not grow with their number."""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from lodestone.components.errors import LodestoneError

Row = tuple[Any, ...]

# Of root and path BINARY order is that of Python, by code points.
SCHEMA = """
CREATE TABLE found (
    root TEXT, path TEXT, number INTEGER, scope INTEGER, size INTEGER, mtime_ns INTEGER, as_table INTEGER,
    whole INTEGER, content TEXT, PRIMARY KEY (root, path)
) WITHOUT ROWID;
CREATE TABLE held (
    root TEXT, path TEXT, size INTEGER, mtime_ns INTEGER, content_hash TEXT, state TEXT, error TEXT, passages INTEGER,
    indexed_at REAL, seconds REAL, identity TEXT, pipeline INTEGER, known INTEGER, PRIMARY KEY (root, path)
) WITHOUT ROWID;
CREATE TABLE owners (identity TEXT PRIMARY KEY, root TEXT, path TEXT) WITHOUT ROWID;
CREATE TABLE copies (identity TEXT, root TEXT, path TEXT, PRIMARY KEY (identity, root, path)) WITHOUT ROWID;
CREATE TABLE found_copies (root TEXT, path TEXT, identity TEXT, PRIMARY KEY (root, path)) WITHOUT ROWID;
CREATE TABLE counted (root TEXT, path TEXT, passages INTEGER, PRIMARY KEY (root, path)) WITHOUT ROWID;
CREATE TABLE todo (number INTEGER PRIMARY KEY, root TEXT, path TEXT);
CREATE TABLE later (number INTEGER PRIMARY KEY, root TEXT, path TEXT, document TEXT);
CREATE INDEX later_by_path ON later (root, path);
"""
# A full disk, a quota, a folder that may not be written to.
_OF_THE_DISK = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
_CACHE_KIB = 4 * 1024
_AT_ONCE = 500


class _Explained:
    """Says errors of the disk in words. No generator: that would cost as much as the statements themselves."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        # The low byte is the kind of error.
        if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF in _OF_THE_DISK:
            raise LodestoneError(
                f"the job's temporary file could not be written or read ({error}): make room in the folder for "
                "temporary files, or name another by the variable TMPDIR, and run the same command again"
            ) from error


_EXPLAINED = _Explained()


class JobTables:
    """A database for the time of a job: what is small stays in memory, the rest goes to a temporary file.

    The file is SQLite's own, in the folder that TMPDIR names or else in that for temporary files; it has no name, so
    that nothing is left of it however the job ends. All methods may be called from any thread.

    :param schema: Its tables.
    """

    def __init__(self, schema: str = SCHEMA) -> None:
        self.lock = threading.RLock()
        self._connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._connection.create_function("parent", 1, _parent, deterministic=True)
        self._connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._connection.execute("PRAGMA journal_mode = OFF")
        self._connection.executescript(schema)
        # Never committed: whatever is wrong with it, the job ends, and the next one makes another.
        self._connection.execute("BEGIN")

    def run(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> int:
        """Run a statement that writes.

        :returns: How many rows it has changed.
        """
        with self.lock, _EXPLAINED:
            return self._connection.execute(sql, parameters).rowcount

    def run_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement that writes once for each row, as they come."""
        with self.lock, _EXPLAINED:
            self._connection.executemany(sql, rows)

    def row(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> Row | None:
        """The first row of a query; None if there is none."""
        with self.lock, _EXPLAINED:
            found: Row | None = self._connection.execute(sql, parameters).fetchone()
            return found

    def rows(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> Iterator[Row]:
        """The rows of a query, some at a time; the tables that it reads must not be written meanwhile."""
        with self.lock, _EXPLAINED:
            cursor = self._connection.execute(sql, parameters)
        while True:
            with self.lock, _EXPLAINED:
                found = cursor.fetchmany(_AT_ONCE)
            if not found:
                return
            yield from found

    def close(self) -> None:
        """Forget everything."""
        with suppress(sqlite3.Error):
            self._connection.close()


def _parent(path: str) -> str:
    """The path of the table that a row is in."""
    return path.rpartition("/")[0]
