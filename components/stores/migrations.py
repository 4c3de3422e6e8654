"""Older formats of the database, and the steps that bring each to the next one."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from lodestone.components.stores.checksums import passage_checksum, vector_checksum
from lodestone.components.stores.keys import key_of

FORMAT_VERSION = 3
_BATCH = 2000


class Tables(Protocol):
    """What a migration needs of a database; its transaction is open."""

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement and return all rows."""
        ...

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement once a row."""
        ...


def migrate(database: Tables, version: int) -> None:
    """Bring a database to today's format; the caller commits, and the format's number with it.

    :param database: A database of an older format, in a transaction that may write.
    :param version: Its format.
    """
    for older in range(version, FORMAT_VERSION):
        _STEPS[older](database)
    database.execute(f"PRAGMA user_version = {FORMAT_VERSION}")


def _add_checksums(database: Tables) -> None:
    """Format 1 to 2: every passage and every vector has a checksum."""
    columns = "id, meta, score, content, extra, blob"
    for table, selected in (("passages", columns), ("vectors", "vector")):
        database.execute(f"ALTER TABLE {table} ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0")
        sql, last = f"SELECT row, {selected} FROM {table} WHERE row > ? ORDER BY row LIMIT {_BATCH}", -1
        while batch := database.execute(sql, (last,)):
            last = batch[-1][0]
            function = passage_checksum if table == "passages" else vector_checksum
            rows = [(function(*values), row) for row, *values in batch]
            database.execute_many(f"UPDATE {table} SET checksum = ? WHERE row = ?", rows)


def _find_by_key(database: Tables) -> None:
    """Format 2 to 3: passages are found by a key made of their ids; the ledger has times and identities."""
    indexes = database.execute(
        "SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'passages' AND sql IS NOT NULL"
    )
    database.execute("ALTER TABLE passages RENAME TO older")
    database.execute(
        "CREATE TABLE passages (row INTEGER PRIMARY KEY, id TEXT NOT NULL, meta TEXT NOT NULL, score REAL, "
        "content TEXT, extra TEXT, blob BLOB, checksum INTEGER NOT NULL, key INTEGER NOT NULL)"
    )
    sql, last = f"SELECT * FROM older WHERE row > ? ORDER BY row LIMIT {_BATCH}", -1
    while batch := database.execute(sql, (last,)):
        last = batch[-1][0]
        rows = [(*row, key_of(row[1])) for row in batch]
        database.execute_many("INSERT INTO passages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    database.execute("DROP TABLE older")
    for (statement,) in indexes:
        database.execute(statement)
    database.execute("CREATE INDEX passages_by_key ON passages (key)")
    database.execute("ALTER TABLE sources ADD COLUMN seconds REAL NOT NULL DEFAULT 0")
    database.execute("ALTER TABLE sources ADD COLUMN identity TEXT NOT NULL DEFAULT ''")
    database.execute("CREATE INDEX sources_by_identity ON sources (identity) WHERE identity <> ''")


_STEPS: dict[int, Callable[[Tables], None]] = {1: _add_checksums, 2: _find_by_key}
