"""Tokens of passages on disk, shared by processes."""

import logging
import sqlite3
import threading
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from lodestone.components.readers.tokens import PassageTokens

logger = logging.getLogger(__name__)

FILE_NAME = "tokens.sqlite"
_MAX_BYTES = 1 << 30
_WAIT_SECONDS = 5.0
# SQLite takes this many parameters in every build.
_KEYS_A_QUERY = 500
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS tokens (number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, "
    "checksum INTEGER NOT NULL, packed BLOB NOT NULL)"
)


class TokenFile:
    """Keeps passages' tokens in an SQLite file, `tokens.sqlite`, that any number of processes may use at once.

    It is a cache and never in the way: what is damaged is reported, dropped and made again, and where the file cannot
    be used at all one warning says so and nothing is kept. Bounded: what was written first goes first. Thread-safe.

    :param folder: Where the file lies; made if it is not there.
    :param fingerprint: What tells the tokenizer from others: tokens of one are never given for another.
    :param max_bytes: The most bytes of the file. The default, 1 GiB, holds about 400,000 passages of 400 tokens.
    """

    def __init__(self, folder: Path, fingerprint: bytes, max_bytes: int = _MAX_BYTES) -> None:
        self._path = folder / FILE_NAME
        self._fingerprint = fingerprint
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._usable = True

    def load(self, keys: Sequence[bytes]) -> dict[bytes, PassageTokens]:
        """Tokens of the passages that are kept.

        :param keys: Hashes of the passages' contents.
        :returns: Those that were found whole, by key.
        """
        with self._lock:
            try:
                return self._load(keys)
            except (sqlite3.Error, OSError) as error:
                self._recover(error)
                return {}

    def store(self, passages: Mapping[bytes, PassageTokens]) -> None:
        """Keep tokens of passages.

        :param passages: Tokens by the hashes of the passages' contents.
        """
        with self._lock:
            for _ in range(2):
                try:
                    self._store(passages)
                    return
                except (sqlite3.Error, OSError) as error:
                    self._recover(error)

    def close(self) -> None:
        """Close the file; it is opened again when it is next used."""
        with self._lock:
            self._close()

    def _load(self, keys: Sequence[bytes]) -> dict[bytes, PassageTokens]:
        found: dict[bytes, PassageTokens] = {}
        damaged: list[int] = []
        connection = self._opened()
        if connection is None:
            return found
        skip = len(self._fingerprint)
        for start in range(0, len(keys), _KEYS_A_QUERY):
            part = [self._fingerprint + key for key in keys[start : start + _KEYS_A_QUERY]]
            marks = ",".join("?" * len(part))
            query = f"SELECT number, key, checksum, packed FROM tokens WHERE key IN ({marks})"
            for number, key, checksum, packed in connection.execute(query, part):
                tokens = _unpacked(key, checksum, packed)
                if tokens is None:
                    damaged.append(number)
                else:
                    found[key[skip:]] = tokens
        if damaged:
            logger.warning("%s: %d damaged entries are made again", self._path, len(damaged))
            with connection:
                connection.executemany("DELETE FROM tokens WHERE number = ?", ((number,) for number in damaged))
        return found

    def _store(self, passages: Mapping[bytes, PassageTokens]) -> None:
        connection = self._opened()
        if connection is None:
            return
        with connection:
            connection.executemany(
                "INSERT OR IGNORE INTO tokens (key, checksum, packed) VALUES (?, ?, ?)", self._rows(passages)
            )
            self._shrink(connection)

    def _rows(self, passages: Mapping[bytes, PassageTokens]) -> Iterable[tuple[bytes, int, bytes]]:
        for content, tokens in passages.items():
            key, packed = self._fingerprint + content, _packed(tokens)
            yield key, _checksum(key, packed), packed

    def _shrink(self, connection: sqlite3.Connection) -> None:
        """Drop what was written first, an eighth at a time, until the file's used pages fit."""
        (page_size,) = connection.execute("PRAGMA page_size").fetchone()
        while True:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            (free,) = connection.execute("PRAGMA freelist_count").fetchone()
            (rows,) = connection.execute("SELECT count(*) FROM tokens").fetchone()
            if (pages - free) * page_size <= self._max_bytes or not rows:
                return
            connection.execute(
                "DELETE FROM tokens WHERE number IN (SELECT number FROM tokens ORDER BY number LIMIT ?)",
                (rows // 8 + 1,),
            )

    def _opened(self) -> sqlite3.Connection | None:
        if self._connection is None and self._usable:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self._path, timeout=_WAIT_SECONDS, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute(_SCHEMA)
        return self._connection

    def _recover(self, error: Exception) -> None:
        """Drop a damaged file; give up one that cannot be used."""
        self._close()
        # What is locked, full or not writable is an OperationalError or OSError; what is no database is neither.
        if type(error) is sqlite3.DatabaseError:
            logger.warning("%s is damaged (%s); it is made again", self._path, error)
            try:
                for suffix in ("", "-wal", "-shm"):
                    self._path.with_name(FILE_NAME + suffix).unlink(missing_ok=True)
            except OSError as refusal:
                self._give_up(refusal)
        else:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        if self._usable:
            logger.warning("%s cannot be used (%s); tokens are kept in memory only", self._path, error)
            self._usable = False

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _packed(tokens: PassageTokens) -> bytes:
    """Ids, starts and ends one behind the other, in two bytes each where they fit, behind a byte that says so."""
    values = np.concatenate([tokens.ids, tokens.starts, tokens.ends])
    small = not values.size or int(values.max()) < 1 << 16
    return bytes([2 if small else 4]) + values.astype("<u2" if small else "<i4").tobytes()


def _checksum(key: bytes, packed: bytes) -> int:
    # Of the key too, so that tokens never pass for those of another passage.
    return zlib.crc32(packed, zlib.crc32(key))


def _unpacked(key: bytes, checksum: object, packed: object) -> PassageTokens | None:
    """Tokens of one row; None where anything in it is not what was written."""
    if not isinstance(packed, bytes) or checksum != _checksum(key, packed):
        return None
    values = np.frombuffer(packed, dtype="<u2" if packed[0] == 2 else "<i4", offset=1)
    ids, starts, ends = values.astype(np.int32).reshape(3, -1)
    return PassageTokens(ids, starts, ends)
