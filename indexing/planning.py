"""What a job has to convert: the documents that are new or changed, and the rows of tables."""

import contextlib
import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from lodestone.components.stores import SourceRecord
from lodestone.indexing.contents import LocalFile, Text
from lodestone.indexing.conversion import Task
from lodestone.indexing.duplicates import Duplicates
from lodestone.indexing.report import FileOutcome
from lodestone.indexing.retrying import is_wanted
from lodestone.indexing.scanning import Scan
from lodestone.indexing.showing import printable
from lodestone.indexing.sources import Scope, SourceFile
from lodestone.indexing.tables import TableError, rows

Key = tuple[str, str]
Known = dict[Key, SourceRecord]


@dataclass
class Plan:
    """Tells what is to be converted from what the ledger says of it.

    :param known: What the ledger holds of the job's roots, by root and path.
    :param fingerprint: That of the pipeline.
    :param verify: Whether to compare documents by hash instead of size and time.
    :param only: Root and path of the only documents that are wanted, as `retrying.failed_files` gives them; None for
        all.
    :param counted: Passages of the documents that the report counts as indexed.
    :param later: Documents that have had copies and have changed: they are converted after these, so that what they
        have in common with them is never missing.
    """

    known: Known
    fingerprint: str
    verify: bool = False
    only: frozenset[Key] | None = None
    counted: dict[Key, int] = field(default_factory=dict)
    later: list[SourceFile] = field(default_factory=list)
    rows: set[Key] = field(default_factory=set)
    unchanged_rows: int = 0
    repeated_rows: list[FileOutcome] = field(default_factory=list)
    unread_tables: set[Key] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.duplicates = Duplicates(self.known, self.fingerprint)

    def gone(self, scope: Scope, found: Scan, here: Collection[Key]) -> list[Key]:
        """Documents of the ledger that are not in their source any more.

        :param scope: The source.
        :param found: What was found in it.
        :param here: All that was found, rows of tables among them; or tables as one, whose rows then are not gone.
        """
        unseen = tuple(found.hidden_behind) + tuple(f"{path}/" for _, path in self.unread_tables)
        unseen += tuple(
            f"{source.path}/" for source in found.files if source.columns is not None and _key(source) in here
        )
        return [
            key
            for key in self.known
            if key not in here
            and key not in self.unread_tables
            and key[0] == scope.root
            and scope.holds(key[1])
            and not key[1].startswith(unseen)
        ]

    def held(self, scope: Scope) -> int:
        """How many documents of a source the ledger holds, without those that failed.

        :param scope: The source.
        """
        return sum(
            record.state != "failed" and root == scope.root and scope.holds(path)
            for (root, path), record in self.known.items()
        )

    def lost(self, gone: Collection[Key]) -> list[Key]:
        """Documents that are gone and with which something is lost: none that failed, no table that has rows now.

        :param gone: Root and path of each.
        """
        tables = {(root, path.rpartition("/")[0]) for root, path in self.rows} if gone else set()
        return [key for key in gone if self.known[key].state != "failed" and key not in tables]

    def outlived(self, sources: Mapping[Key, SourceFile]) -> list[Key]:
        """Failures of tables as one that were read now, and of which the ledger has rows.

        :param sources: All documents that were found, tables as one.
        """
        return [
            key
            for key, source in sources.items()
            if source.columns is not None
            and key not in self.unread_tables
            and (record := self.known.get(key)) is not None
            and record.state == "failed"
        ]

    def put_off(self, sources: Mapping[Key, SourceFile], most: int) -> None:
        """Put off the changed documents of which there are copies: these go first.

        :param sources: All documents that were found.
        :param most: The most bytes of one to read.
        """
        for key in self.duplicates.owners_of_copies():
            source = sources.get(key)
            if source is not None and not self.is_current(source) and self._has_changed(source, most):
                self.later.append(source)
        self.duplicates.leave([(source.root, source.path) for source in self.later])

    def _has_changed(self, source: SourceFile, most: int) -> bool:
        if source.problem is not None or source.columns is not None:
            return False
        try:
            data = source.content.read(most)
        except Exception:  # whoever converts it will say why
            return False
        return hashlib.sha256(data).hexdigest() != self.known[source.root, source.path].content_hash

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

    def found_again(self, sources: Mapping[Key, SourceFile], keys: Collection[Key]) -> Iterator[SourceFile]:
        """Documents that were found before, rows of tables among them.

        :param sources: All that were found, tables as one.
        :param keys: Root and path of those that are wanted.
        """
        yield from (sources[key] for key in keys if key in sources and sources[key].columns is None)
        for table in [source for source in sources.values() if source.columns is not None]:
            wanted = {key for key in keys if key[0] == table.root and key[1].startswith(f"{table.path}/")}
            if wanted and (table.root, table.path) not in self.unread_tables:
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
                if key in self.rows:
                    self.repeated_rows.append(FileOutcome(source.shown, "another row before it has the same id"))
                    continue
                self.rows.add(key)
                record = self.known.get(key)
                if self.is_current(source):
                    self.unchanged_rows += 1
                elif record is not None and self._is_reusable(record) and self.duplicates.has_copies(record):
                    self.duplicates.leave([key])
                    self.later.append(source)
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
            path=f"{table.path}/{row.name}",
            content=Text(row.text),
            size=len(row.text),
            mtime_ns=table.mtime_ns,
            shown=printable(f"{table.shown}/{row.name}"),
            mime_type="text/plain",
            meta={**row.meta, "file_path": table.path.rsplit("/", 1)[-1]},
            version=row.version,
        )


def _key(source: SourceFile) -> Key:
    return source.root, source.path
