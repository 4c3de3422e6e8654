"""What a job has to convert: the documents that are new or changed, and the rows of tables."""

import contextlib
import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from lodestone.components.stores import SourceRecord
from lodestone.indexing.contents import LocalFile, Text
from lodestone.indexing.conversion import Task
from lodestone.indexing.duplicates import Duplicates
from lodestone.indexing.found import FoundDocuments
from lodestone.indexing.held import HeldDocuments
from lodestone.indexing.job_tables import JobTables
from lodestone.indexing.key_set import Key, KeySet
from lodestone.indexing.later import Later
from lodestone.indexing.report import FileOutcome
from lodestone.indexing.retrying import is_wanted
from lodestone.indexing.scanning import Scan
from lodestone.indexing.showing import printable
from lodestone.indexing.sources import Scope, SourceFile
from lodestone.indexing.tables import TableError, is_table, rows

# What `Plan.is_current` says, of all documents at once.
_COMPARED = """
found LEFT JOIN held ON (held.root, held.path) = (found.root, found.path) AND held.known
LEFT JOIN owners ON owners.identity = held.identity
"""
_IS_CURRENT = """
NOT found.as_table AND held.pipeline = :pipeline AND held.error IS NULL
AND CASE held.state
    WHEN 'indexed' THEN held.identity = '' OR (owners.root, owners.path) IS (held.root, held.path)
    WHEN 'duplicate' THEN owners.root IS NULL OR (owners.root, owners.path) < (held.root, held.path)
    ELSE FALSE END
AND (held.size, held.mtime_ns) = (found.size, found.mtime_ns) AND found.mtime_ns <> -1 AND NOT :verify
"""
_OWNERS_OF_COPIES = f"""
{_COMPARED} WHERE (owners.root, owners.path) = (found.root, found.path)
AND EXISTS (SELECT 1 FROM copies WHERE copies.identity = owners.identity) AND ({_IS_CURRENT}) IS NOT TRUE
ORDER BY found.root, found.path
"""
_TODO = f"""
INSERT INTO todo SELECT found.number, found.root, found.path FROM {_COMPARED} WHERE ({_IS_CURRENT}) IS NOT TRUE
AND NOT EXISTS (SELECT 1 FROM later WHERE (later.root, later.path) = (found.root, found.path)) ORDER BY found.number
"""
# Before tables are read their rows count as being there, and afterwards those that are.
_NOT_FOUND = """
root = :root AND NOT EXISTS (SELECT 1 FROM found WHERE (found.root, found.path) = (held.root, held.path))
AND NOT EXISTS (SELECT 1 FROM found WHERE (found.root, found.path) = (held.root, parent(held.path)) AND found.as_table)
"""
_NOT_READ = """
root = :root
AND NOT EXISTS (SELECT 1 FROM found WHERE (found.root, found.path) = (held.root, held.path) AND found.whole)
AND NOT EXISTS (SELECT 1 FROM rows_read WHERE (rows_read.root, rows_read.path) = (held.root, held.path))
"""
_FAILED_TABLES = """
state = 'failed' AND EXISTS (
    SELECT 1 FROM found WHERE (found.root, found.path) = (held.root, held.path) AND found.as_table
)
"""


class Plan:
    """Tells what is to be converted from what was found and what the ledger says of it.

    :param tables: Where all that is kept.
    :param fingerprint: That of the pipeline.
    :param verify: Whether to compare documents by hash instead of size and time.
    :param only: Root and path of the only documents that are wanted, as `retrying.failed_files` gives them; None for
        all.
    """

    def __init__(
        self,
        tables: JobTables,
        fingerprint: str,
        verify: bool = False,
        only: frozenset[Key] | None = None,
    ) -> None:
        self._tables = tables
        self.fingerprint = fingerprint
        self.verify = verify
        self.only = only
        self.found = FoundDocuments(tables)
        """What was found in the job's sources."""
        self.known = HeldDocuments(tables)
        """What the ledger holds of the job's roots."""
        self.duplicates = Duplicates(tables, self.known, fingerprint)
        """Which documents are copies."""
        self.later = Later(tables)
        """Documents that have had copies and have changed: they are converted after these, so that what they have in
        common with them is never missing."""
        self.rows = KeySet(tables, "rows_read")
        """The rows of tables that were read."""
        self.doomed = KeySet(tables, "doomed")
        """What is to be deleted."""
        self.unchanged_rows = 0
        self.repeated_rows: list[FileOutcome] = []
        self.unread_tables: set[Key] = set()

    def learn(self, records: Iterable[SourceRecord], roots: set[str]) -> None:
        """Learn of what the ledger holds.

        :param records: All of it.
        :param roots: Those that the job is about.
        """
        self.known.add(records, roots)
        self.duplicates.load()

    def gone(self, scope: Scope, found: Scan, is_read: bool) -> Iterator[Key]:
        """Documents of the ledger that are not in their source any more.

        :param scope: The source.
        :param found: What was found in it.
        :param is_read: Whether tables have been read, so that their rows can be gone.
        """
        unseen = tuple(found.hidden_behind)
        for root, path in self.known.keys(_NOT_READ if is_read else _NOT_FOUND, {"root": scope.root}):
            unread = {(root, path), (root, _table(path))} & self.unread_tables
            if scope.has(path) and not unread and not path.startswith(unseen):
                yield root, path

    def held(self, scope: Scope) -> int:
        """How many documents of a source the ledger holds, without those that failed.

        :param scope: The source.
        """
        keys = self.known.keys("root = :root AND state <> 'failed'", {"root": scope.root})
        return sum(scope.has(path) for _, path in keys)

    def is_lost(self, key: Key) -> bool:
        """Whether something is lost with a document that is gone: not with one that failed, nor with a table that has
        rows now, nor with a row of a table that is indexed as one document now.

        :param key: Root and path.
        """
        record, (root, path) = self.known.get(key), key
        if record is None or record.state == "failed" or self.rows.has_below(key):
            return False
        table = _table(path)
        return not (is_table(table) and self._is_indexed((root, table)))

    def _is_indexed(self, key: Key) -> bool:
        """Whether the index holds a document as one by now."""
        counted = self._tables.row("SELECT 1 FROM counted WHERE (root, path) = (?, ?)", key) is not None
        record = self.known.get(key)
        return counted or self.duplicates.is_found(key) or (record is not None and record.state != "failed")

    def outlived(self) -> Iterator[Key]:
        """Failures of tables as one that were read now, and of which the ledger has rows."""
        return (key for key in self.known.keys(_FAILED_TABLES, {}) if key not in self.unread_tables)

    def put_off(self, most: int) -> None:
        """Put off the changed documents of which there are copies: these go first.

        :param most: The most bytes of one to read.
        """
        for source in self.found.those(_OWNERS_OF_COPIES, self._rules):
            if self._has_changed(source, most):
                self.later.add(source)
        self.duplicates.leave((source.root, source.path) for source in self.later)

    def find_todo(self) -> tuple[int, int]:
        """Find what is new or has changed, and is not put off.

        :returns: How many documents that are, tables as one, and how many bytes.
        """
        self._tables.run(_TODO, self._rules)
        row = self._tables.row("SELECT count(*), coalesce(sum(size), 0) FROM todo JOIN found USING (root, path)")
        assert row is not None
        return row[0], row[1]

    def todo(self) -> Iterator[SourceFile]:
        """What `find_todo` has found, in the order in which it was found in the sources."""
        return self.found.those("todo JOIN found USING (root, path) ORDER BY todo.number")

    def count(self, key: Key, passages: int) -> None:
        """Remember that the report counts a document as indexed.

        :param key: Its root and path.
        :param passages: How many passages it has.
        """
        self._tables.run("INSERT OR REPLACE INTO counted VALUES (?, ?, ?)", (*key, passages))

    def uncount(self, key: Key) -> int | None:
        """Take a document back that the report counts as indexed.

        :param key: Its root and path.
        :returns: How many passages it has had; None if it was not counted.
        """
        row = self._tables.row("SELECT passages FROM counted WHERE (root, path) = (?, ?)", key)
        self._tables.run("DELETE FROM counted WHERE (root, path) = (?, ?)", key)
        return None if row is None else row[0]

    @property
    def _rules(self) -> dict[str, object]:
        return {"pipeline": self.known.pipeline(self.fingerprint), "verify": self.verify}

    def _has_changed(self, source: SourceFile, most: int) -> bool:
        if source.problem is not None or source.columns is not None:
            return False
        try:
            data = source.content.read(most)
        except Exception:  # whoever converts it will say why
            return False
        record = self.known.get((source.root, source.path))
        return record is None or hashlib.sha256(data).hexdigest() != record.content_hash

    def is_current(self, source: SourceFile) -> bool:
        """Whether the index holds a document as it is; of a table only its rows can say."""
        record = self.known.get((source.root, source.path))
        if record is None or source.columns is not None or not self._is_reusable(record) or record.error is not None:
            return False
        if source.version is not None:
            return record.content_hash == source.version
        seen = (record.size, record.mtime_ns) == (source.size, source.mtime_ns) and source.mtime_ns != -1
        return seen and not self.verify

    def tasks(self, sources: Iterable[SourceFile]) -> Iterator[Task]:
        """The documents to convert.

        :param sources: What is not current.
        :returns: A task for each, or for each row that is not current.
        """
        for source in sources:
            if source.columns is None:
                yield self._task(source)
            else:
                yield from self._row_tasks(source)

    def _task(self, source: SourceFile) -> Task:
        record = self.known.get((source.root, source.path))
        reusable = record is not None and self._is_reusable(record)
        return Task(source, record.content_hash if record is not None and reusable else None)

    def _is_reusable(self, record: SourceRecord) -> bool:
        was_done = record.state in ("indexed", "duplicate") and record.pipeline == self.fingerprint
        return was_done and self.duplicates.is_settled(record)

    def found_again(self, keys: Collection[Key]) -> Iterator[SourceFile]:
        """Documents that were found before, rows of tables among them.

        :param keys: Root and path of those that are wanted.
        """
        rows_of: dict[Key, set[Key]] = {}
        for key in keys:
            if (source := self.found.get(key)) is None:
                rows_of.setdefault((key[0], _table(key[1])), set()).add(key)
            elif source.columns is None:
                yield source
        for key, wanted in rows_of.items():
            table = self.found.get(key)
            if table is not None and table.columns is not None and key not in self.unread_tables:
                with contextlib.suppress(TableError):  # it was read before, and has changed since
                    for source in _row_files(table):
                        if (source.root, source.path) in wanted:
                            wanted.discard((source.root, source.path))
                            yield source

    def _row_tasks(self, table: SourceFile) -> Iterator[Task]:
        try:
            for source in _row_files(table):
                key = (source.root, source.path)
                if self.only is not None and not is_wanted(source, self.only):
                    continue
                if not self.rows.add(key):
                    self.repeated_rows.append(FileOutcome(source.shown, "another row before it has the same id"))
                    continue
                record = self.known.get(key)
                if self.is_current(source):
                    self.unchanged_rows += 1
                elif record is not None and self._is_reusable(record) and self.duplicates.has_copies(record):
                    self.duplicates.leave([key])
                    self.later.add(source)
                else:
                    yield self._task(source)
        except TableError as error:
            self.unread_tables.add((table.root, table.path))
            yield Task(replace(table, problem=printable(str(error))))


def _row_files(table: SourceFile) -> Iterator[SourceFile]:
    """The rows of a table as documents."""
    assert isinstance(table.content, LocalFile)
    assert table.columns is not None
    for row in rows(table.content.path, table.columns):
        yield SourceFile(
            root=table.root,
            path=f"{table.path}/{row.place}",
            content=Text(row.text),
            size=len(row.text),
            mtime_ns=table.mtime_ns,
            shown=printable(f"{table.shown}/{row.shown}"),
            mime_type="text/plain",
            meta={**row.meta, "file_path": table.path.rsplit("/", 1)[-1]},
            version=row.version,
            problem=row.problem,
        )


def _table(path: str) -> str:
    """The path of the table that a row is in, if it is a row."""
    return path.rpartition("/")[0]
