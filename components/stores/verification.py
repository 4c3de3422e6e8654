"""Does the database hold together, and do the derived indexes know just what it holds?"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lodestone.components.errors import LodestoneError
from lodestone.components.stores.checksums import passage_checksum, vector_checksum
from lodestone.components.stores.database import Database
from lodestone.components.stores.keys import key_of
from lodestone.components.stores.passage_table import VECTOR_ITEM_BYTES
from lodestone.components.stores.settings import StoreSettings
from lodestone.components.stores.text_index import TextIndex
from lodestone.components.stores.vector_index import VectorIndex

_BATCH = 1000
_LISTED = 5  # problems of one kind that are named, the others are counted

Rows = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Verification:
    """What a check of a store has found.

    :param passages: Passages in the database.
    :param vectors: Vectors in the database.
    :param dense: Vectors that the FAISS index finds.
    :param bm25: Passages that the text index finds.
    :param database_problems: What is wrong with the truth: only a copy, an export or indexing again helps.
    :param index_problems: What is wrong with the derived indexes: rebuilding helps.
    """

    passages: int
    vectors: int
    dense: int
    bm25: int
    database_problems: list[str]
    index_problems: list[str]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.database_problems and not self.index_problems


def verify(database: Database, folder: Path, settings: StoreSettings) -> Verification:
    """Check a store by reading all of it; nothing is changed, and it may be written to meanwhile.

    :param database: A connection of its own, without a snapshot.
    :param folder: The store's folder.
    :param settings: What it was created with.
    """
    texts = _TextCheck(database, folder, settings)
    with database.snapshot():
        problems = [*_structure(database), *_passages(database), *_vectors(database), *_texts(database)]
        rows, with_vector = _rows(database, "passages"), _rows(database, "vectors")
        stray = np.setdiff1d(with_vector, rows).size
        if stray:
            problems.append(f"passages.sqlite: {stray} vectors belong to no passage")
        vectors = VectorIndex(folder, settings)
        try:
            wrong = vectors.problem(database)
            if wrong is None:
                vectors.catch_up(database)
                wrong = _difference(with_vector, vectors.rows())
        except LodestoneError as error:
            wrong = str(error)
        index_problems = [f"vectors.faiss: {wrong}"] if wrong is not None else []
        index_problems += texts.compare(rows)
    return Verification(rows.size, with_vector.size, vectors.rows().size, texts.rows.size, problems, index_problems)


class _TextCheck:
    """The text index, read before the database's snapshot is taken: so the database is never the older one."""

    def __init__(self, database: Database, folder: Path, settings: StoreSettings) -> None:
        self._database = database
        self.rows: Rows = np.empty(0, dtype=np.int64)
        index = TextIndex(folder, settings.language)
        try:
            self._problem = index.problem(database)
            self._sequence = index.sequence
            if self._problem is None:
                self.rows = index.rows()
        except (OSError, ValueError) as error:
            self._problem = str(error)
        finally:
            index.close()

    def compare(self, rows: Rows) -> list[str]:
        """What differs from the passages, up to the change that the index has reached."""
        if self._problem is not None:
            return [f"text: {self._problem}"]
        sequence = self._sequence
        deleted_since = self._database.execute(
            "SELECT row FROM tombstones WHERE sequence > ? AND row <= ?", (sequence, sequence)
        )
        found = np.setdiff1d(
            self.rows[self.rows <= sequence], np.array([row for (row,) in deleted_since], dtype=np.int64)
        )
        problem = _difference(rows[rows <= sequence], found)
        return [f"text: {problem}"] if problem is not None else []


def _difference(expected: Rows, found: Rows) -> str | None:
    lacking, extra = np.setdiff1d(expected, found).size, np.setdiff1d(found, expected).size
    twice = found.size - np.unique(found).size
    if not (lacking or extra or twice):
        return None
    return f"{lacking} passages of the database are missing in it, {extra} are no longer there, {twice} are in it twice"


def _structure(database: Database) -> list[str]:
    try:
        rows = database.execute(f"PRAGMA integrity_check({_LISTED})")
    except LodestoneError as error:
        return [str(error)]
    return [f"passages.sqlite: {text}" for (text,) in rows if text != "ok"]


def _rows(database: Database, table: str) -> Rows:
    try:
        rows = database.execute(f"SELECT row FROM {table} ORDER BY row")
    except LodestoneError:  # `_structure` has said it
        return np.empty(0, dtype=np.int64)
    return np.fromiter((row for (row,) in rows), dtype=np.int64, count=len(rows))


def _passages(database: Database) -> list[str]:
    # Bytes, as text with a flipped bit may no longer be UTF-8.
    texts = [f"CAST({column} AS BLOB)" for column in ("id", "meta", "content", "extra")]
    columns = f"{texts[0]}, {texts[1]}, score, {texts[2]}, {texts[3]}, blob, checksum, key"
    wrong = [
        row[1].decode("utf-8", "replace")
        for row in _all(database, "passages", columns)
        if passage_checksum(*row[1:7]) != row[7] or key_of(row[1].decode("utf-8", "replace")) != row[8]
    ]
    return _listed(wrong, "changed on the disk: the passage") + _listed(_twice(database), "there twice: the passage")


def _twice(database: Database) -> list[str]:
    sql = "SELECT CAST(id AS BLOB) FROM passages GROUP BY key, id HAVING count(*) > 1"
    try:
        return [identifier.decode("utf-8", "replace") for (identifier,) in database.execute(sql)]
    except LodestoneError:  # `_structure` has said it
        return []


def _vectors(database: Database) -> list[str]:
    dim = database.get_property("embedding_dim")
    wrong, lengths = [], []
    for row, vector, checksum in _all(database, "vectors", "vector, checksum"):
        if vector_checksum(vector) != checksum:
            wrong.append(str(row))
        elif len(vector) != int(dim or 0) * VECTOR_ITEM_BYTES:
            lengths.append(str(row))
    return _listed(wrong, "changed on the disk: the vector of row") + _listed(
        lengths, f"not of {dim} dimensions: the vector of row"
    )


def _texts(database: Database) -> list[str]:
    wrong = []
    for _, identifier, packed in _all(database, "texts", "id, text", key="rowid"):
        try:
            zlib.decompress(packed)
        except zlib.error:
            wrong.append(str(identifier))
    return _listed(wrong, "changed on the disk: the text of the document")


def _all(database: Database, table: str, columns: str, key: str = "row") -> Iterator[tuple[Any, ...]]:
    """The rows of a table, up to the first that cannot be read, which `_structure` reports."""
    sql, last = f"SELECT {key}, {columns} FROM {table} WHERE {key} > ? ORDER BY {key} LIMIT {_BATCH}", 0
    while True:
        try:
            batch = database.execute(sql, (last,))
        except LodestoneError:
            return
        if not batch:
            return
        yield from batch
        last = batch[-1][0]


def _listed(names: list[str], what: str) -> list[str]:
    shown = [f"passages.sqlite: {what} {name}" for name in names[:_LISTED]]
    more = len(names) - len(shown)
    return [*shown, f"passages.sqlite: and {more} more"] if more else shown
