"""The ledger: which files were indexed, with the texts that their passages' offsets count in."""

import dataclasses
import zlib
from collections.abc import Iterable, Iterator, Sequence

from haystack import Document

from lodestone.components.errors import ConfigurationError
from lodestone.components.stores.database import Database, damaged
from lodestone.components.stores.encoding import clean_text, decode_meta, encode_meta
from lodestone.components.stores.fields import meta_value
from lodestone.components.stores.passage_table import PassageRow, PassageTable, to_row
from lodestone.components.stores.records import SourceRecord, SourceText

_FIELDS = [field.name for field in dataclasses.fields(SourceRecord)]
_COLUMNS = ", ".join(_FIELDS)
_MARKS = ", ".join("?" * len(_FIELDS))
_PAGE = 1000


class Ledger:
    """Reads and writes the ledger inside the transaction that is open.

    :param database: The store's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._passages = PassageTable(database)

    def write(self, record: SourceRecord, texts: Sequence[SourceText], passages: Sequence[PassageRow]) -> None:
        """Replace all that the store has of one file.

        :param record: The file.
        :param texts: Its documents.
        :param passages: Its passages, of `checked_passages`; one that is stored just so is left as it is.
        """
        stored = self._passages.stored([row[0] for row in passages])
        changed = [row for row in passages if stored.get(row[0]) != row]
        kept = {row[0] for row in passages} - {row[0] for row in changed}
        old = {row for identifier, row in self._passages_of(record.root, record.path) if identifier not in kept}
        old.update(self._passages.rows_of([row[0] for row in changed if row[0] in stored]).values())
        self._passages.delete(sorted(old))
        self._passages.insert(changed)
        self.restore(record, texts)

    def restore(self, record: SourceRecord, texts: Sequence[SourceText]) -> None:
        """Replace a file's row and texts, and leave its passages alone."""
        self._write_texts(record, texts)
        self.touch([record])

    def touch(self, records: Iterable[SourceRecord]) -> None:
        """Insert or replace ledger rows, and nothing else."""
        self._database.execute_many(
            f"INSERT OR REPLACE INTO sources ({_COLUMNS}) VALUES ({_MARKS})",
            [tuple(getattr(record, name) for name in _FIELDS) for record in records],
        )

    def delete(self, sources: Iterable[tuple[str, str]]) -> int:
        """Delete files with their texts and passages.

        :param sources: Root and path.
        :returns: How many passages were deleted.
        """
        deleted = 0
        for root, path in dict.fromkeys(sources):
            deleted += self._passages.delete([row for _, row in self._passages_of(root, path)])
            self._database.execute("DELETE FROM texts WHERE root = ? AND path = ?", (root, path))
            self._database.execute("DELETE FROM sources WHERE root = ? AND path = ?", (root, path))
        return deleted

    def clear(self) -> None:
        """Forget all files and texts."""
        self._database.execute("DELETE FROM texts")
        self._database.execute("DELETE FROM sources")

    def page(self, root: str | None, prefix: str, after: tuple[str, str]) -> list[SourceRecord]:
        """The next records in the order of root and path.

        :param root: Only of this root; None for all.
        :param prefix: Only paths that start so.
        :param after: Root and path of the last record seen.
        """
        rows = self._database.execute(
            f"SELECT {_COLUMNS} FROM sources WHERE (root, path) > (?, ?) AND (? IS NULL OR root = ?) "
            f"AND substr(path, 1, ?) = ? ORDER BY root, path LIMIT {_PAGE}",
            (*after, root, root, len(prefix), prefix),
        )
        return [SourceRecord(*row) for row in rows]

    def record(self, root: str, path: str) -> SourceRecord | None:
        """The record of one file, or None."""
        rows = self._database.execute(f"SELECT {_COLUMNS} FROM sources WHERE (root, path) = (?, ?)", (root, path))
        return SourceRecord(*rows[0]) if rows else None

    def copies(self, root: str, path: str) -> list[tuple[str, str]]:
        """Root and path of the other files with a file's identity."""
        rows = self._database.execute(
            "SELECT other.root, other.path FROM sources AS other JOIN sources AS this USING (identity) "
            "WHERE (this.root, this.path) = (?, ?) AND identity <> '' AND other.identity <> '' "
            "AND (other.root, other.path) <> (this.root, this.path) ORDER BY other.root, other.path",
            (root, path),
        )
        return [(root, path) for root, path in rows]

    def text(self, source_id: str) -> str | None:
        """The text of one document, or None."""
        rows = self._database.execute("SELECT text FROM texts WHERE id = ? LIMIT 1", (source_id,))
        return self._unpacked(rows[0][0], source_id) if rows else None

    def texts(self, root: str, path: str) -> list[SourceText]:
        """The documents of one file."""
        rows = self._database.execute(
            "SELECT id, text, meta FROM texts WHERE root = ? AND path = ? ORDER BY rowid", (root, path)
        )
        return [SourceText(name, self._unpacked(packed, name), decode_meta(meta)) for name, packed, meta in rows]

    def _unpacked(self, packed: bytes, source_id: str) -> str:
        try:
            return zlib.decompress(packed).decode("utf-8")
        except (zlib.error, UnicodeDecodeError) as error:
            raise damaged(self._database.path, f"the text of {source_id!r}: {error}") from error

    def _passages_of(self, root: str, path: str) -> Iterator[tuple[str, int]]:
        sql = f"SELECT id, row FROM passages WHERE {meta_value('source')} = ? AND {meta_value('root')} = ?"
        yield from self._database.execute(sql, (path, root))

    def _write_texts(self, record: SourceRecord, texts: Sequence[SourceText]) -> None:
        self._database.execute("DELETE FROM texts WHERE root = ? AND path = ?", (record.root, record.path))
        rows = [
            (
                record.root,
                record.path,
                text.id,
                zlib.compress(clean_text(text.text).encode("utf-8")),
                encode_meta(text.meta),
            )
            for text in texts
        ]
        self._database.execute_many(
            "INSERT OR REPLACE INTO texts (root, path, id, text, meta) VALUES (?, ?, ?, ?, ?)", rows
        )


def checked_passages(record: SourceRecord, passages: Sequence[Document]) -> list[PassageRow]:
    """The rows of a file's passages; of two with one id the last.

    :param record: The file.
    :param passages: Their metadata must name it as `root` and `source`.
    :raises ConfigurationError: If one does not.
    """
    try:
        f"{record.root}{record.path}".encode()
    except UnicodeEncodeError:
        raise ConfigurationError(f"the file name {record.path!r} is not valid UTF-8: rename the file") from None
    rows: dict[str, PassageRow] = {}
    for passage in passages:
        named = (passage.meta.get("root"), passage.meta.get("source"))
        if named != (record.root, record.path):
            raise ConfigurationError(
                f"passage {passage.id!r} of {record.root}/{record.path} has meta root {named[0]!r} and "
                f"source {named[1]!r}: they must name the file that it is written for"
            )
        row = to_row(passage)
        rows.pop(row[0], None)
        rows[row[0]] = row
    return list(rows.values())
