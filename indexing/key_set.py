"""Roots and paths of documents, however many, on the disk."""

from collections.abc import Iterable, Iterator
from itertools import islice

from lodestone.indexing.job_tables import JobTables

Key = tuple[str, str]


class KeySet:
    """A set of roots and paths.

    :param tables: Where it is kept.
    :param name: Of its table, made here.
    """

    def __init__(self, tables: JobTables, name: str) -> None:
        self._tables = tables
        self._name = name
        tables.run(f"CREATE TABLE {name} (root TEXT, path TEXT, PRIMARY KEY (root, path)) WITHOUT ROWID")

    def __contains__(self, key: Key) -> bool:
        return self._tables.row(f"SELECT 1 FROM {self._name} WHERE root = ? AND path = ?", key) is not None

    def __len__(self) -> int:
        row = self._tables.row(f"SELECT count(*) FROM {self._name}")
        return 0 if row is None else int(row[0])

    def add(self, key: Key) -> bool:
        """Add one.

        :returns: Whether it was not there.
        """
        return bool(self._tables.run(f"INSERT OR IGNORE INTO {self._name} VALUES (?, ?)", key))

    def update(self, keys: Iterable[Key]) -> None:
        """Add some."""
        self._tables.run_many(f"INSERT OR IGNORE INTO {self._name} VALUES (?, ?)", keys)

    def discard(self, key: Key) -> None:
        """Take one out, if it is there."""
        self._tables.run(f"DELETE FROM {self._name} WHERE root = ? AND path = ?", key)

    def has_below(self, key: Key) -> bool:
        """Whether a path in it lies in one that is given."""
        root, path = key
        # "0" is the character after "/".
        sql = f"SELECT 1 FROM {self._name} WHERE root = ? AND path > ? AND path < ? LIMIT 1"
        return self._tables.row(sql, (root, f"{path}/", f"{path}0")) is not None

    def parts(self, size: int) -> Iterator[list[Key]]:
        """All of them in their order, some at a time; nothing may be added or taken out meanwhile.

        :param size: How many at most.
        """
        keys = self._tables.rows(f"SELECT root, path FROM {self._name} ORDER BY root, path")
        while part := [(root, path) for root, path in islice(keys, size)]:
            yield part
