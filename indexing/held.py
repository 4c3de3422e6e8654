"""What the ledger held when a job began, on the disk."""

from collections.abc import Iterable, Iterator
from operator import attrgetter

from lodestone.components.stores import SourceRecord
from lodestone.indexing.job_tables import JobTables, Row
from lodestone.indexing.key_set import Key

_NAMES = (
    *("root", "path", "size", "mtime_ns", "content_hash", "state", "error", "passages", "indexed_at", "seconds"),
    "identity",
)
_COLUMNS = ", ".join(_NAMES)
_values = attrgetter(*_NAMES)


class HeldDocuments:
    """The ledger as it was.

    :param tables: Where it is kept.
    """

    def __init__(self, tables: JobTables) -> None:
        self._tables = tables
        # There are few of these, and each is long.
        self._pipelines: dict[str, int] = {}

    def add(self, records: Iterable[SourceRecord], roots: set[str]) -> None:
        """Take in the ledger.

        :param records: All that is in it; what they are by root and path.
        :param roots: Those that the job is about: only their documents are known, the others can have copies.
        """
        rows = ((*_values(record), self.pipeline(record.pipeline), record.root in roots) for record in records)
        self._write(rows)

    def adopt(self, record: SourceRecord) -> None:
        """Know a document of another root from now on.

        :param record: What the ledger holds of it now.
        """
        self._write([(*_values(record), self.pipeline(record.pipeline), True)])

    def get(self, key: Key) -> SourceRecord | None:
        """What the ledger held of a document that is known; None if there was nothing."""
        row = self._tables.row(f"SELECT {_COLUMNS}, pipeline FROM held WHERE root = ? AND path = ? AND known", key)
        if row is None:
            return None
        pipeline = next(name for name, number in self._pipelines.items() if number == row[-1])
        return SourceRecord(**dict(zip(_NAMES, row, strict=False)), pipeline=pipeline)

    def __contains__(self, key: Key) -> bool:
        return self._tables.row("SELECT 1 FROM held WHERE root = ? AND path = ? AND known", key) is not None

    def keys(self, query: str, parameters: dict[str, object]) -> Iterator[Key]:
        """Root and path of some that are known, in this order.

        :param query: The condition that says which.
        :param parameters: Its parameters.
        """
        sql = f"SELECT root, path FROM held WHERE known AND {query} ORDER BY root, path"
        yield from self._tables.rows(sql, parameters)

    def pipeline(self, fingerprint: str) -> int:
        """The number that stands for a pipeline here."""
        return self._pipelines.setdefault(fingerprint, len(self._pipelines))

    def _write(self, rows: Iterable[Row]) -> None:
        marks = ", ".join("?" * (len(_NAMES) + 2))
        self._tables.run_many(f"INSERT OR REPLACE INTO held ({_COLUMNS}, pipeline, known) VALUES ({marks})", rows)
