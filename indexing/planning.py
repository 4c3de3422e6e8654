"""What a job has to convert: the documents that are new or changed, and the rows of tables."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from lodestone.components.stores import SourceRecord
from lodestone.indexing.contents import LocalFile, Text
from lodestone.indexing.conversion import Task
from lodestone.indexing.report import FileOutcome
from lodestone.indexing.retrying import is_wanted
from lodestone.indexing.showing import printable
from lodestone.indexing.sources import SourceFile
from lodestone.indexing.tables import TableError, rows

Known = Mapping[tuple[str, str], SourceRecord]


@dataclass
class Plan:
    """Tells what is to be converted from what the ledger says of it.

    :param known: What the ledger holds, by root and path.
    :param fingerprint: That of the pipeline.
    :param verify: Whether to compare documents by hash instead of size and time.
    :param only: Root and path of the only documents that are wanted, as `retrying.failed_files` gives them; None for
        all.
    """

    known: Known
    fingerprint: str
    verify: bool = False
    only: frozenset[tuple[str, str]] | None = None
    rows: set[tuple[str, str]] = field(default_factory=set)
    unchanged_rows: int = 0
    repeated_rows: list[FileOutcome] = field(default_factory=list)
    unread_tables: set[tuple[str, str]] = field(default_factory=set)

    def is_current(self, source: SourceFile) -> bool:
        """Whether the index holds a document as it is; of a table only its rows can say."""
        record = self.known.get((source.root, source.path))
        if record is None or source.columns is not None or not self._is_reusable(record):
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
        return record.state == "indexed" and record.pipeline == self.fingerprint

    def _row_tasks(self, table: SourceFile) -> Iterator[Task]:
        assert isinstance(table.content, LocalFile)
        assert table.columns is not None
        try:
            for row in rows(table.content.path, table.columns):
                path, shown = f"{table.path}/{row.name}", printable(f"{table.shown}/{row.name}")
                if (table.root, path) in self.rows:
                    self.repeated_rows.append(FileOutcome(shown, "another row before it has the same id"))
                    continue
                self.rows.add((table.root, path))
                source = SourceFile(
                    root=table.root,
                    path=path,
                    content=Text(row.text),
                    size=len(row.text),
                    mtime_ns=table.mtime_ns,
                    shown=shown,
                    mime_type="text/plain",
                    meta={**row.meta, "file_path": table.path.rsplit("/", 1)[-1]},
                    version=row.version,
                )
                if self.only is not None and not is_wanted(source, self.only):
                    self.rows.discard((table.root, path))
                elif self.is_current(source):
                    self.unchanged_rows += 1
                else:
                    yield self._task(source)
        except TableError as error:
            self.unread_tables.add((table.root, table.path))
            yield Task(replace(table, problem=printable(str(error))))
