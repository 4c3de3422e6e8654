"""A store as JSON lines: a header, one passage a line, one file of the ledger a line, and a last line with the counts.

A value that JSON cannot hold is written as `encode_meta` writes it. Embeddings have nine significant digits, which are
enough to read the same float32 back.
"""

import base64
import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from lodestone.components.errors import LodestoneError
from lodestone.components.stores.checksums import passage_checksum, vector_checksum
from lodestone.components.stores.database import Database, damaged
from lodestone.components.stores.encoding import decode_meta, encode_meta
from lodestone.components.stores.ledger import Ledger
from lodestone.components.stores.records import SourceRecord

EXPORT_FORMAT = 1
# Properties that say something of this folder, not of what is in it.
OWN_PROPERTIES = {"store_id", "sequence", "last_write"}
_PAGE = 1000
Vector = np.ndarray[Any, np.dtype[np.float32]]
_PASSAGE = (
    "SELECT row, id, meta, score, content, extra, blob, vector, passages.checksum, vectors.checksum "
    "FROM passages LEFT JOIN vectors USING (row) WHERE row BETWEEN ? AND ? ORDER BY row"
)


@dataclasses.dataclass
class Counts:
    """What was exported, or imported.

    :param passages: Passages.
    :param sources: Files of the ledger.
    :param left_out: Passages and files that could not be read; an unreadable part of the database counts as one for
        every row number in it.
    """

    passages: int = 0
    sources: int = 0
    left_out: int = 0


class Exporter:
    """Writes out what a snapshot of a database holds.

    :param database: The database; its snapshot must be open.
    :param salvage: Whether to leave out what cannot be read, instead of failing.
    """

    def __init__(self, database: Database, salvage: bool = False) -> None:
        self._database = database
        self._salvage = salvage
        self._of_source: Counter[tuple[Any, Any]] = Counter()
        self.counts = Counts()

    def lines(self) -> Iterator[str]:
        """The lines, each ending in a newline.

        :raises ConfigurationError: If the database is damaged, unless it is to be salvaged.
        """
        yield _line("lodestone_export", EXPORT_FORMAT, self._header())
        for row in self._rows(1, self._last_row()):
            line = self._passage_line(row)
            if line is not None:
                self.counts.passages += 1
                yield line
        for record in self._records():
            source = self._source(record)
            if source is not None:
                self.counts.sources += 1
                yield _line("source", source)
        yield _line("end", {"passages": self.counts.passages, "sources": self.counts.sources})

    def _header(self) -> dict[str, Any]:
        tables = {}
        for table, columns in (("properties", "key, value"), ("settings", "key, value"), ("roots", "name, path")):
            try:
                tables[table] = dict(self._database.execute(f"SELECT {columns} FROM {table} ORDER BY 1"))
            except LodestoneError as error:
                self._lose(error)
        for name in OWN_PROPERTIES:
            tables.get("properties", {}).pop(name, None)
        return tables

    def _last_row(self) -> int:
        try:
            return self._database.sequence
        except LodestoneError as error:
            self._lose(error)
            return int(self._database.execute("SELECT max(row) FROM passages")[0][0])

    def _rows(self, first: int, last: int) -> Iterator[tuple[Any, ...]]:
        for start in range(first, last + 1, _PAGE):
            yield from self._readable(start, min(start + _PAGE - 1, last))

    def _readable(self, first: int, last: int) -> Iterator[tuple[Any, ...]]:
        """Rows in a range; where one cannot be read, the halves are tried."""
        try:
            rows = self._database.execute(_PASSAGE, (first, last))
        except LodestoneError as error:
            if not self._salvage or first == last:
                self._lose(error)
                return
            middle = (first + last) // 2
            yield from self._readable(first, middle)
            yield from self._readable(middle + 1, last)
            return
        yield from rows

    def _passage_line(self, row: tuple[Any, ...]) -> str | None:
        _, identifier, meta, score, content, extra, blob, vector, checksum, of_vector = row
        intact = passage_checksum(*row[1:7]) == checksum
        if not intact or (vector is not None and vector_checksum(vector) != of_vector):
            self._lose(damaged(self._database.path, f"the passage {identifier!r} has changed on the disk"))
            return None
        passage: dict[str, Any] = {"id": identifier, "content": content, "meta": decode_meta(meta)}
        self._of_source[passage["meta"].get("root"), passage["meta"].get("source")] += 1
        if score is not None:
            passage["score"] = score
        if extra is not None:
            passage["extra"] = json.loads(extra)
        if blob is not None:
            passage["blob"] = base64.b64encode(blob).decode()
        line = _line("passage", passage)
        if vector is None:
            return line
        return f'{line[:-3]},"embedding":{_numbers(np.frombuffer(vector, dtype=np.float32))}}}}}\n'

    def _records(self) -> Iterator[SourceRecord]:
        last = ("", "")
        while True:
            try:
                records = Ledger(self._database).page(None, "", last)
            except LodestoneError as error:
                self._lose(error)
                return
            if not records:
                return
            yield from records
            last = (records[-1].root, records[-1].path)

    def _source(self, record: SourceRecord) -> dict[str, Any] | None:
        """A file of the ledger; None, so that it is indexed again, if some of it was lost."""
        key = (record.root, record.path)
        if self._salvage and self._of_source[key] != record.passages:
            self.counts.left_out += 1
            return None
        try:
            texts = [
                {"id": text.id, "text": text.text, "meta": text.meta} for text in Ledger(self._database).texts(*key)
            ]
        except LodestoneError as error:
            self._lose(error)
            return None
        return {**dataclasses.asdict(record), "texts": texts}

    def _lose(self, error: LodestoneError) -> None:
        """Count what cannot be read, or refuse to go on without it."""
        if not self._salvage:
            raise error
        self.counts.left_out += 1


def _line(kind: str, value: Any, more: Mapping[str, Any] | None = None) -> str:
    return encode_meta({kind: value, **(more or {})}) + "\n"


def _numbers(vector: Vector) -> str:
    """A JSON list from which the same float32 values are read."""
    if np.signbit(vector[vector == 0]).any():  # "-0" would be read as the integer 0
        return json.dumps(vector.tolist())
    return "[" + ",".join(map("%.9g".__mod__, vector.tolist())) + "]"
