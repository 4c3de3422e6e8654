"""Documents as rows of the passages table."""

import json
import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
from haystack import Document
from haystack.dataclasses import ByteStream, SparseEmbedding

from lodestone.components.errors import ConfigurationError
from lodestone.components.stores.checksums import passage_checksum, vector_checksum
from lodestone.components.stores.database import Database, damaged
from lodestone.components.stores.encoding import clean_text, decode_meta, encode_meta
from lodestone.components.stores.keys import key_of

_COLUMNS = "row, id, meta, score, content, extra, blob"
_BY_KEY = "key IN (SELECT value FROM json_each(?))"
_BATCH = 2000
_KEPT_FILTERS = 64
_KEPT_ROWS = 4_000_000  # of these filters together, unless one alone has more; 8 bytes each
VECTOR_ITEM_BYTES = 4  # float32

Vector = np.ndarray[Any, np.dtype[np.float32]]
Vectors = np.ndarray[Any, np.dtype[np.float32]]
Rows = np.ndarray[Any, np.dtype[np.int64]]

# id, meta, score, content, extra, blob, vector
PassageRow = tuple[str, str, float | None, str | None, str | None, bytes | None, bytes | None]


def to_row(document: Document) -> PassageRow:
    """A document as the database holds it.

    :param document: Its embedding is stored as float32.
    :returns: id, meta, score, content, extra, blob, vector.
    :raises ConfigurationError: If its metadata is no JSON, or its embedding no list of finite numbers.
    """
    if "\0" in document.id:
        raise ConfigurationError(f"a document's id must not hold a NUL character, got {document.id!r}")
    try:
        meta = encode_meta(document.meta)
    except ConfigurationError as error:
        raise ConfigurationError(f"document {document.id!r}: {error}") from error
    extra: dict[str, Any] = {}
    blob = document.blob
    if blob is not None:
        extra["blob"] = {"mime_type": blob.mime_type, "meta": encode_meta(blob.meta)}
    if document.sparse_embedding is not None:
        extra["sparse_embedding"] = document.sparse_embedding.to_dict()
    return (
        clean_text(document.id),
        meta,
        None if document.score is None else float(document.score),
        None if document.content is None else clean_text(document.content),
        json.dumps(extra) if extra else None,
        None if blob is None else bytes(blob.data),
        None if document.embedding is None else _to_bytes(document.embedding, document.id),
    )


def _to_bytes(embedding: Sequence[float], identifier: str) -> bytes:
    try:  # several times faster than NumPy for a list, and stricter
        packed = struct.pack(f"{len(embedding)}f", *embedding)
        if packed and math.isfinite(sum(embedding)):  # of numbers that fit into float32, so it does not overflow
            return packed
    except (struct.error, TypeError, OverflowError):
        pass
    return to_vector(embedding, f"document {identifier!r}").tobytes()


def to_vector(embedding: Sequence[float], of: str) -> Vector:
    """An embedding as an array.

    :param embedding: Finite numbers.
    :param of: What it belongs to, for messages.
    :returns: Shape (dim,), float32.
    :raises ConfigurationError: If it is empty, not flat, or holds something else than finite numbers.
    """
    try:
        with np.errstate(over="ignore"):
            vector = np.asarray(embedding, dtype=np.float32)
    except (TypeError, ValueError):
        raise ConfigurationError(f"{of}: the embedding must be a list of numbers, got {embedding!r:.80}") from None
    if vector.ndim != 1 or vector.size == 0:
        raise ConfigurationError(f"{of}: the embedding must be one non-empty list, got shape {vector.shape}")
    if not np.isfinite(vector).all():
        raise ConfigurationError(f"{of}: the embedding holds NaN or infinity (as float32)")
    return vector


def _to_document(row: Sequence[Any], vector: bytes | None) -> Document:
    _, identifier, meta, score, content, extra_text, data = row
    extra = json.loads(extra_text) if extra_text else {}
    blob = sparse = None
    if data is not None:
        about = extra["blob"]
        blob = ByteStream(data=data, meta=decode_meta(about["meta"]), mime_type=about["mime_type"])
    if "sparse_embedding" in extra:
        sparse = SparseEmbedding.from_dict(extra["sparse_embedding"])
    return Document(
        id=identifier,
        content=content,
        blob=blob,
        meta=decode_meta(meta),
        score=score,
        embedding=None if vector is None else np.frombuffer(vector, dtype=np.float32).tolist(),
        sparse_embedding=sparse,
    )


def _keys(ids: Iterable[str]) -> str:
    """The parameter of `_BY_KEY`; it finds passages of other ids, too."""
    return json.dumps([key_of(identifier) for identifier in ids])


def _as_arrays(batch: Sequence[tuple[int, bytes]]) -> tuple[Rows, Vectors]:
    rows = np.fromiter((row for row, _ in batch), dtype=np.int64, count=len(batch))
    vectors = np.frombuffer(b"".join(vector for _, vector in batch), dtype=np.float32)
    return rows, vectors.reshape(len(batch), -1) if batch else vectors.reshape(0, 1)


class PassageTable:
    """Reads and writes documents inside the transaction that is open.

    :param database: The store's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def count(self, filters: dict[str, Any] | None = None) -> int:
        """How many documents match."""
        compiled = self._database.metadata_indexes.compile(filters)
        sql = f"SELECT count(*) FROM passages WHERE {compiled.sql}"
        return int(self._database.execute(sql, compiled.parameters, compiled)[0][0])

    def matching(self, filters: dict[str, Any] | None) -> "np.ndarray[Any, np.dtype[np.int64]]":
        """Row numbers of the documents that match.

        :param filters: None or {} matches all.
        :returns: Shape (n,), int64, ascending.
        :raises FilterError: If the filter is malformed or cannot be applied to a document.
        """
        compiled = self._database.metadata_indexes.compile(filters)
        sql = f"SELECT row FROM passages WHERE {compiled.sql}"
        rows = self._database.execute(sql, compiled.parameters, compiled)
        # Sorted here: asked for an order, SQLite would walk the table instead of an index, or sort slowly.
        return np.sort(np.fromiter(chain.from_iterable(rows), dtype=np.int64, count=len(rows)))

    def allowed(self, filters: dict[str, Any] | None) -> "np.ndarray[Any, np.dtype[np.int64]] | None":
        """Row numbers of the documents that a search may find; kept for the same filter until something is written.

        :param filters: None or {} allows all.
        :returns: Shape (n,), int64, ascending, not to be changed; None for all.
        :raises FilterError: If the filter is malformed or cannot be applied to a document.
        """
        if not filters:
            return None
        kept, key = self._database.kept_rows, (self._database.sequence, repr(filters))
        rows = kept.pop(key, None)
        if rows is None:
            rows = self.matching(filters)
            rows.flags.writeable = False
        kept[key] = rows  # as the youngest
        while len(kept) > 1 and (len(kept) > _KEPT_FILTERS or sum(map(len, kept.values())) > _KEPT_ROWS):
            kept.pop(next(iter(kept)))
        return rows

    def rows_of(self, ids: Sequence[str]) -> dict[str, int]:
        """Row numbers of those of the ids that exist."""
        wanted = {clean_text(identifier) for identifier in ids}
        found = self._database.execute(f"SELECT id, row FROM passages WHERE {_BY_KEY}", (_keys(wanted),))
        return {identifier: row for identifier, row in found if identifier in wanted}

    def existing(self, rows: Sequence[int]) -> set[int]:
        """Those of the row numbers that exist."""
        sql = "SELECT row FROM passages WHERE row IN (SELECT value FROM json_each(?))"
        return {row for (row,) in self._database.execute(sql, (json.dumps(list(rows)),))}

    def stored(self, ids: Sequence[str]) -> dict[str, PassageRow]:
        """Those of the ids that exist, as the database holds them."""
        sql = (
            "SELECT id, meta, score, content, extra, blob, vector FROM passages LEFT JOIN vectors USING (row) "
            f"WHERE {_BY_KEY}"
        )
        wanted = set(ids)
        return {row[0]: row for row in self._database.execute(sql, (_keys(wanted),)) if row[0] in wanted}

    def stored_rows(self, rows: Sequence[int]) -> list[PassageRow]:
        """Documents by row number, in that order, as the database holds them."""
        sql = (
            "SELECT id, meta, score, content, extra, blob, vector FROM passages LEFT JOIN vectors USING (row) "
            "WHERE row IN (SELECT value FROM json_each(?)) ORDER BY row"
        )
        return self._database.execute(sql, (json.dumps(list(rows)),))

    def fetch(self, rows: Sequence[int], with_embedding: bool) -> dict[int, Document]:
        """Documents by row number; rows that do not exist are left out."""
        listed = [(json.dumps(list(rows[start : start + _BATCH]))) for start in range(0, len(rows), _BATCH)]
        vector, join = ("vector", "LEFT JOIN vectors USING (row)") if with_embedding else ("NULL", "")
        sql = (
            f"SELECT {_COLUMNS}, {vector}, passages.checksum FROM passages {join} "
            "WHERE row IN (SELECT value FROM json_each(?))"
        )
        documents = {}
        for batch in listed:
            for row in self._database.execute(sql, (batch,)):
                if passage_checksum(*row[1:7]) != row[8]:
                    raise damaged(self._database.path, f"the passage {row[1]!r} has changed on the disk")
                documents[row[0]] = _to_document(row[:7], row[7])
        return documents

    def after(self, sequence: int, until: int) -> Iterator[list[tuple[int, str, str | None]]]:
        """Row number, metadata (JSON) and content of the passages written between two sequence numbers, in batches.

        :param sequence: Only those written after this number.
        :param until: Only those written up to this number.
        """
        sql = "SELECT row, meta, content FROM passages WHERE row > ? AND row <= ? ORDER BY row LIMIT ?"
        while batch := self._database.execute(sql, (sequence, until, _BATCH)):
            yield batch
            sequence = batch[-1][0]

    def count_vectors(self, after: int = 0) -> int:
        """How many vectors there are, of passages written after a sequence number."""
        return int(self._database.execute("SELECT count(*) FROM vectors WHERE row > ?", (after,))[0][0])

    def vectors_between(self, after: int, until: int, batch_size: int = _BATCH) -> Iterator[tuple[Rows, Vectors]]:
        """Vectors of the passages written after a sequence number, in batches.

        :param after: The sequence number.
        :param until: Only those written up to this number.
        :param batch_size: How many a batch at most.
        :returns: Row numbers, shape (n,), ascending, and vectors, shape (n, dim).
        """
        sql = "SELECT row, vector FROM vectors WHERE row > ? AND row <= ? ORDER BY row LIMIT ?"
        while batch := self._database.execute(sql, (after, until, batch_size)):
            yield _as_arrays(batch)
            after = batch[-1][0]

    def vectors_of(self, rows: Rows) -> tuple[Rows, Vectors]:
        """Vectors of some passages.

        :param rows: Row numbers, shape (n,).
        :returns: Those of the row numbers that have a vector, ascending, and the vectors, shape (n, dim).
        """
        sql = "SELECT row, vector FROM vectors WHERE row IN (SELECT value FROM json_each(?)) ORDER BY row"
        return _as_arrays(self._database.execute(sql, (json.dumps(rows.tolist()),)))

    def with_vector(self, rows: Rows) -> Rows:
        """Those of the row numbers that have a vector, shape (n,), ascending."""
        sql = "SELECT row FROM vectors WHERE row IN (SELECT value FROM json_each(?)) ORDER BY row"
        found = self._database.execute(sql, (json.dumps(rows.tolist()),))
        return np.fromiter((row for (row,) in found), dtype=np.int64, count=len(found))

    def deleted_after(self, sequence: int, last_row: int) -> "np.ndarray[Any, np.dtype[np.int64]]":
        """Row numbers of passages that were deleted after a sequence number.

        :param sequence: The sequence number.
        :param last_row: Only rows up to this one.
        """
        rows = self._database.execute(
            "SELECT row FROM tombstones WHERE sequence > ? AND row <= ?", (sequence, last_row)
        )
        return np.fromiter((row for (row,) in rows), dtype=np.int64, count=len(rows))

    def insert(self, rows: Sequence[PassageRow]) -> None:
        """Add documents whose ids are new."""
        if not rows:
            return
        first = self._database.advance(len(rows))
        numbered = list(enumerate(rows, start=first))
        self._database.execute_many(
            f"INSERT INTO passages ({_COLUMNS}, checksum, key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(n, *row[:6], passage_checksum(*row[:6]), key_of(row[0])) for n, row in numbered],
        )
        self._database.execute_many(
            "INSERT INTO vectors (row, vector, checksum) VALUES (?, ?, ?)",
            [(n, row[6], vector_checksum(row[6])) for n, row in numbered if row[6] is not None],
        )

    def delete(self, rows: Sequence[int]) -> int:
        """Delete documents, and leave tombstones from which the derived indexes learn of it.

        :param rows: Row numbers that exist, each once.
        :returns: How many.
        """
        if not rows:
            return 0
        first = self._database.advance(len(rows))
        self._database.execute_many(
            "INSERT INTO tombstones (sequence, row) VALUES (?, ?)",
            [(sequence, row) for sequence, row in enumerate(map(int, rows), start=first)],
        )
        for table in ("passages", "vectors"):
            self._database.execute_many(f"DELETE FROM {table} WHERE row = ?", [(int(row),) for row in rows])
        return len(rows)
