"""JSONL, CSV and Parquet files whose rows are documents."""

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SUFFIXES = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
_LONGEST_ID = 1000  # bytes; a document's path must be one term of an index
# No index can hold a longer one, so that there is nothing under it that should stay.
_LONGEST_HELD = 25_000
_SHOWN_ID = 60
# A field of a CSV file may be a whole document.
_LONGEST_FIELD = 64 * 2**20


class TableError(Exception):
    """A table cannot be read; the message says why."""


@dataclass(frozen=True)
class Columns:
    """What the columns of a table are.

    :param content: The columns that make a document's text, a blank line between them.
    :param meta: The columns that become metadata.
    :param id: The column that tells rows apart, whose value is the end of a document's path; None for the row's number.
    """

    content: tuple[str, ...]
    meta: tuple[str, ...] = ()
    id: str | None = None

    @property
    def all(self) -> list[str]:
        """All that a table is to have."""
        return [*self.content, *self.meta, *([self.id] if self.id is not None else [])]


@dataclass(frozen=True)
class Row:
    """A row as a document.

    :param name: What tells it apart from the others of its table.
    :param text: Its text.
    :param meta: Its metadata.
    """

    name: str
    text: str
    meta: dict[str, Any]

    @property
    def version(self) -> str:
        """A hash of all that is in it, hexadecimal."""
        data = json.dumps([self.text, self.meta], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(data.encode("utf-8", "replace")).hexdigest()

    @property
    def problem(self) -> str | None:
        """Why it cannot be indexed; None if it can."""
        size = len(self.name.encode())
        return f"its id has {size:,} bytes, {_LONGEST_ID:,} at most are possible" if size > _LONGEST_ID else None

    @property
    def shown(self) -> str:
        """Its name as messages have it."""
        return self.name if self.problem is None else f"{self.name[:_SHOWN_ID]}..."

    @property
    def place(self) -> str:
        """The end of its path."""
        data = self.name.encode()
        return self.name if len(data) <= _LONGEST_HELD else self.shown + hashlib.sha256(data).hexdigest()


def is_table(path: str) -> bool:
    """Whether rows can be read from a file, by its name."""
    return path.lower().endswith(SUFFIXES)


def rows(file: str, columns: Columns) -> Iterator[Row]:
    """Read a table, row by row.

    :param file: The table.
    :param columns: What its columns are.
    :raises TableError: If it cannot be read, or has not these columns.
    """
    try:
        unseen, first = set(columns.content), ""
        for number, record in enumerate(_records(Path(file), columns), start=1):
            unseen.difference_update(record)
            first = first or ", ".join(map(str, record))
            yield _row(record, number, columns)
        # In JSON lines a row leaves out what it has nothing for; a name that no row has is a wrong one.
        if unseen and first:
            raise TableError(f"no row has the column {min(unseen)!r}; the first has {first}")
    except (OSError, ValueError, csv.Error) as error:
        raise TableError(f"cannot be read as a table: {error}") from error


def _row(record: dict[str, Any], number: int, columns: Columns) -> Row:
    missing = [name for name in columns.all if name not in record]
    if missing and not any(name in record for name in columns.content):
        raise TableError(f"row {number:,} has no column {missing[0]!r}; it has {', '.join(map(str, record))}")
    name = number if columns.id is None else record.get(columns.id)
    if name is None or name == "":
        raise TableError(f"row {number:,} has no {columns.id!r}, which is to tell it apart")
    text = "\n\n".join(_shown(record[name]) for name in columns.content if record.get(name) not in (None, ""))
    meta = {name: _plain(record[name]) for name in columns.meta if record.get(name) not in (None, "")}
    return Row(_clean(str(name)).replace("/", "_"), text, {**meta, "row": number})


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(_plain(value), ensure_ascii=False)


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    return json.loads(_clean(json.dumps(value, default=str, ensure_ascii=False)))


def _clean(text: str) -> str:
    """A text without halves of characters, which JSON can hold and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _records(file: Path, columns: Columns) -> Iterator[dict[str, Any]]:
    match file.suffix.lower():
        case ".parquet":
            return _parquet(file, columns)
        case ".csv" | ".tsv":
            return _csv(file, columns)
        case _:
            return _jsonl(file)


def _jsonl(file: Path) -> Iterator[dict[str, Any]]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)
            except (ValueError, RecursionError) as error:
                raise TableError(f"line {number:,} is not JSON: {error}") from error
            if not isinstance(record, dict):
                raise TableError(f"line {number:,} is not a JSON object")
            yield record


def _csv(file: Path, columns: Columns) -> Iterator[dict[str, Any]]:
    csv.field_size_limit(_LONGEST_FIELD)
    with file.open("rb") as binary, io.TextIOWrapper(binary, encoding="utf-8-sig", newline="") as lines:
        delimiter = "\t" if file.suffix.lower() == ".tsv" else _delimiter(lines.readline())
        lines.seek(0)
        reader = csv.DictReader(lines, delimiter=delimiter)
        if reader.fieldnames is not None:
            _check(columns, list(reader.fieldnames))
        for record in reader:
            record.pop(None, None)
            yield record


def _check(columns: Columns, names: list[str]) -> None:
    """Refuse a table that has not all of the columns, where every row has the same."""
    missing = [name for name in columns.all if name not in names]
    if missing:
        raise TableError(f"there is no column {missing[0]!r}; it has {', '.join(names)}")


def _delimiter(header: str) -> str:
    return max(",;\t|", key=header.count)


def _parquet(file: Path, columns: Columns) -> Iterator[dict[str, Any]]:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise TableError("reading Parquet needs pyarrow: pip install 'lodestone[parquet]'") from error
    with parquet.ParquetFile(file) as table:
        _check(columns, table.schema_arrow.names)
        for batch in table.iter_batches(batch_size=1000, columns=columns.all):
            yield from batch.to_pylist()
