"""The SQLite database of a store: the truth, from which everything else is derived."""

import contextlib
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from haystack.errors import FilterError

from lodestone.components.errors import ConfigurationError, LodestoneError
from lodestone.components.stores.fields import meta_value
from lodestone.components.stores.files import DERIVED, disk_full, is_full, size_of
from lodestone.components.stores.filters import CompiledFilter
from lodestone.components.stores.linked_folder import is_writable
from lodestone.components.stores.metadata_indexes import MetadataIndexes
from lodestone.components.stores.migrations import FORMAT_VERSION, migrate

APPLICATION_ID = 0x4C4F4445  # "LODE", in the file's header
_BUSY_SECONDS = 60.0
_PAGE_BYTES = 8192  # five vectors of 384 numbers with little waste; SQLite's 4096 hold two
# Scans of a filter's index gain by pages that are kept. Writing does not, and what it keeps is the larger part of the
# memory that a long indexing job takes.
_READING_CACHE_KIB, _WRITING_CACHE_KIB = 64 * 1024, 16 * 1024
_CHECKPOINT_PAGES = 16384  # 128 MiB
_WORTH_VACUUM = 10  # a tenth of the file
_UNWRITABLE = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)

# A passage's row number is drawn from the running sequence, as is a tombstone's: whatever remembers the last number
# that it has seen finds all that came later. Vectors stand apart so that scanning metadata does not read them.
_SCHEMA = f"""
CREATE TABLE properties (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE passages (
    row INTEGER PRIMARY KEY, id TEXT NOT NULL, meta TEXT NOT NULL, score REAL, content TEXT, extra TEXT,
    blob BLOB, checksum INTEGER NOT NULL, key INTEGER NOT NULL
);
CREATE INDEX passages_by_key ON passages (key);
CREATE INDEX passages_of_source ON passages ({meta_value("source")}, {meta_value("root")});
CREATE TABLE vectors (row INTEGER PRIMARY KEY, vector BLOB NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE tombstones (sequence INTEGER PRIMARY KEY, row INTEGER NOT NULL);
CREATE TABLE roots (name TEXT PRIMARY KEY, path TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE sources (
    root TEXT NOT NULL, path TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    content_hash TEXT NOT NULL, pipeline TEXT NOT NULL, state TEXT NOT NULL, error TEXT, passages INTEGER NOT NULL,
    indexed_at REAL NOT NULL, seconds REAL NOT NULL DEFAULT 0, identity TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (root, path)
) WITHOUT ROWID;
CREATE INDEX sources_by_identity ON sources (identity) WHERE identity <> '';
CREATE TABLE texts (
    root TEXT NOT NULL, path TEXT NOT NULL, id TEXT NOT NULL, text BLOB NOT NULL, meta TEXT NOT NULL,
    PRIMARY KEY (root, path, id)
);
CREATE INDEX texts_by_id ON texts (id);
"""


class Database:
    """One connection to a store's database. Threads take turns: the owner of the object holds a lock around its use.

    :param path: The file; it must exist unless `create` says otherwise.
    :param create: Properties to store in a new database; None opens an existing one only.
    :param salvage: Open a damaged database too, for reading what can be read.
    :raises ConfigurationError: If the file is no database, damaged, of another program, or of a newer Lodestone.
    """

    def __init__(self, path: Path, create: dict[str, str] | None = None, salvage: bool = False) -> None:
        self.path = path
        self._salvage = salvage
        self.metadata_indexes = MetadataIndexes(self)
        # By sequence number and filter, for `PassageTable.allowed`.
        self.kept_rows: dict[tuple[int, str], np.ndarray[Any, np.dtype[np.int64]]] = {}
        self._tests: CompiledFilter | None = None
        self._error: Exception | None = None
        self._unchanging: tuple[int, int] | None = None
        if create is not None and not path.exists() and self._has_indexes():
            raise damaged(path, "the file is gone, its search indexes are not", salvage)
        try:
            if create is not None:
                self._connect("mode=rwc", create)
            else:
                self._connect_for_reading()
        except sqlite3.DatabaseError as error:
            raise _explain(error, path, salvage) from error

    def _connect(self, mode: str, create: dict[str, str] | None = None) -> None:
        self._connection = sqlite3.connect(
            f"{self.path.resolve().as_uri()}?{mode}",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        try:
            self._prepare(create)
        except BaseException:
            self.close()
            raise

    def _connect_for_reading(self) -> None:
        """Open an existing database, also where this user may not make the files that its WAL mode needs beside it."""
        for mode in ("mode=rw", "mode=ro"):
            try:
                self._connect(mode)
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in _UNWRITABLE or is_writable(self.path.parent):
                    raise
        if self._has_wal():
            raise ConfigurationError(
                f"{self.path} was not closed well, and this user may not write to {self.path.parent}: open the index "
                "once as a user who may (`lodestone status --index FOLDER`), or copy the folder and use the copy"
            )
        # SQLite takes the file as it is, without locks, and `is_outdated` watches over it.
        self._unchanging = self._state()
        self._connect("mode=ro&immutable=1")

    def _has_indexes(self) -> bool:
        return any((self.path.parent / name).exists() for name in DERIVED)

    def _has_wal(self) -> bool:
        return size_of(self.path.with_name(self.path.name + "-wal")) > 0

    def _state(self) -> tuple[int, int]:
        status = self.path.stat()
        return status.st_size, status.st_mtime_ns

    @property
    def is_outdated(self) -> bool:
        """Whether another process has written to a file that is read without locks: it is to be opened again."""
        return self._unchanging is not None and (self._has_wal() or self._state() != self._unchanging)

    def _prepare(self, create: dict[str, str] | None) -> None:
        self._connection.create_function("lodestone_test", 2, self._call_test)
        if self._salvage:  # SQLite refuses a file that was cut off, unless it is told that its schema may be mended
            self._connection.execute("PRAGMA writable_schema = ON")
        application, version = self._scalar("PRAGMA application_id"), self._scalar("PRAGMA user_version")
        empty = self._scalar("SELECT count(*) FROM sqlite_master") == 0
        if application != APPLICATION_ID and not empty:
            raise ConfigurationError(
                f"{self.path} is the database of another program, not a Lodestone store: name another folder"
            )
        if empty and self._has_indexes():
            raise damaged(self.path, "it is empty, its search indexes are not", self._salvage)
        if version > FORMAT_VERSION:
            raise ConfigurationError(
                f"{self.path} has format {version}, this Lodestone reads up to format {FORMAT_VERSION}: "
                "update lodestone, or index into another folder"
            )
        # FULL: a commit is on the disk when it returns, also if the power fails.
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute(f"PRAGMA cache_size = -{_READING_CACHE_KIB}")
        # A bulk load changes pages of the indexes many times: they are copied into the file less often than by default.
        self._connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        if empty and create is not None:
            self._connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
            self._connection.execute("PRAGMA journal_mode = WAL")
            with self.transaction():
                self._create(create)

    def _create(self, properties: dict[str, str]) -> None:
        if self._scalar("SELECT count(*) FROM sqlite_master"):
            return
        for statement in _SCHEMA.split(";"):
            if statement.strip():
                self._connection.execute(statement)
        self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        self._connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
        for key, value in {**properties, "store_id": uuid.uuid4().hex, "sequence": "0"}.items():
            self.set_property(key, value)

    @property
    def version(self) -> int:
        """The format that the file has now: another process may have brought it to a newer one."""
        return int(self._scalar("PRAGMA user_version"))

    @property
    def needs_migration(self) -> bool:
        """Whether the file has an older format, and must not be used before `migrate`."""
        return self.initialised and self.version < FORMAT_VERSION

    def migrate(self) -> None:
        """Bring an older format to today's, wholly or not at all. The writer's lock must be held."""
        with self._begin("BEGIN IMMEDIATE"):
            if self.needs_migration:
                migrate(self, self.version)

    def wait_for_writer(self) -> None:
        """Return when no other process has a transaction that writes.

        :raises LodestoneError: If one takes longer than a minute.
        """
        with self._begin("BEGIN IMMEDIATE"):
            pass

    @property
    def initialised(self) -> bool:
        """Whether the tables exist: False for the moment in which another process creates them."""
        return bool(self._scalar("PRAGMA application_id") == APPLICATION_ID)

    @property
    def total_changes(self) -> int:
        """How many rows this connection has written so far."""
        return self._connection.total_changes

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Write: all of it is there afterwards, or, if an exception leaves the block, none of it."""
        self._connection.execute(f"PRAGMA cache_size = -{_WRITING_CACHE_KIB}")
        with self._begin("BEGIN IMMEDIATE"):
            if self.version > FORMAT_VERSION:
                raise ConfigurationError(
                    f"{self.path} was brought to format {self.version} by a newer Lodestone, this process writes "
                    f"format {FORMAT_VERSION}: update lodestone here and start again"
                )
            yield

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read one state of the database, whatever other processes write meanwhile."""
        if self._connection.in_transaction:
            yield
            return
        with self._begin("BEGIN", "ROLLBACK" if self._salvage else "COMMIT"):  # what is damaged cannot commit
            yield

    @contextlib.contextmanager
    def _begin(self, statement: str, end: str = "COMMIT") -> Iterator[None]:
        try:
            self._connection.execute(statement)
        except sqlite3.Error as error:
            raise _explain(error, self.path, self._salvage) from error
        try:
            yield
            self._connection.execute(end)
        except BaseException as error:
            if self._connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):  # it has rolled back by itself, as on a full disk
                    self._connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise _explain(error, self.path, self._salvage) from error
            raise

    def vacuum(self) -> None:
        """Give unused space back, where there is much of it. No transaction may be open."""
        if self._scalar("PRAGMA freelist_count") * _WORTH_VACUUM > self._scalar("PRAGMA page_count"):
            self.execute("VACUUM")
        self.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def execute(
        self, sql: str, parameters: Sequence[Any] = (), tests: CompiledFilter | None = None
    ) -> list[tuple[Any, ...]]:
        """Run a statement.

        :param sql: One statement.
        :param parameters: Values of its `?`.
        :param tests: The filter whose `lodestone_test` calls the statement contains.
        :returns: All rows.
        :raises FilterError: If the filter cannot be applied to a document, or is nested too deeply for SQLite.
        """
        self._tests, self._error = tests, None
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            if self._error is not None:
                raise self._error from None
            if "parser stack overflow" in str(error):
                raise FilterError(
                    "the filter is nested more than SQLite can read: give conditions of one AND, OR or NOT as one "
                    "list, and NOT around single comparisons as != or not in"
                ) from error
            raise _explain(error, self.path, self._salvage) from error
        finally:
            self._tests, self._error = None, None

    def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement once a row."""
        try:
            self._connection.executemany(sql, rows)
        except sqlite3.Error as error:
            raise _explain(error, self.path, self._salvage) from error

    def get_property(self, key: str, default: str | None = None) -> str | None:
        """A property of the store, such as its similarity."""
        rows = self.execute("SELECT value FROM properties WHERE key = ?", (key,))
        return rows[0][0] if rows else default

    def set_property(self, key: str, value: str) -> None:
        """Store a property."""
        self.execute("INSERT OR REPLACE INTO properties (key, value) VALUES (?, ?)", (key, value))

    @property
    def sequence(self) -> int:
        """The last number of the running sequence."""
        return int(self.get_property("sequence") or 0)

    def advance(self, count: int) -> int:
        """Take numbers from the sequence.

        :param count: How many.
        :returns: The first of them.
        """
        first = self.sequence + 1
        self.set_property("sequence", str(first + count - 1))
        return first

    def _scalar(self, sql: str) -> Any:
        return self._connection.execute(sql).fetchone()[0]

    def _call_test(self, key: int, raw: Any) -> int:
        try:
            if self._tests is None:
                raise LodestoneError("lodestone_test is for Lodestone's filters only")
            return int(self._tests.tests[key](raw))
        except Exception as error:
            self._error = error
            raise


def damaged(path: Path, how: str, salvage: bool = False) -> ConfigurationError:
    """The error for a database that cannot be trusted, with what to do about it.

    :param path: The database.
    :param how: What is wrong with it.
    :param salvage: Whether what is readable was to be saved, and nothing is.
    """
    folder = path.parent
    if salvage:
        return ConfigurationError(
            f"{path} is damaged or no SQLite database ({how}), and nothing in it can be read. Either restore the "
            f"folder {folder} from a copy, or move it away and index again"
        )
    return ConfigurationError(
        f"{path} is damaged or no SQLite database ({how}). Either restore the folder {folder} from a copy, "
        f"or save what is readable by `lodestone store export --salvage FILE --index {folder}` and import that "
        "into another folder, or move the folder away and index again"
    )


def _explain(error: sqlite3.Error, path: Path, salvage: bool) -> LodestoneError:
    """The error that a user can act upon."""
    text = str(error)
    if any(word in text for word in ("not a database", "malformed", "corrupt", "decode to UTF-8")):
        return damaged(path, text, salvage)
    if "locked" in text:
        return LodestoneError(f"{path} stayed locked for {_BUSY_SECONDS:.0f} s by another program: try again")
    if "full" in text or (isinstance(error, sqlite3.OperationalError) and is_full(path.parent)):
        return disk_full(path.parent, "nothing of this batch was written, all that was written before is safe")
    if "disk I/O" in text:
        return LodestoneError(
            f"{path} cannot be written or read ({text}): the disk is over a quota or limit, or faulty. Nothing of this "
            "batch was written, all that was written before is safe"
        )
    return LodestoneError(f"{path}: {text}")
