"""Writing batches of documents into the store, and accounting for them."""

import time
from collections.abc import Callable
from dataclasses import replace

from haystack import Document

from lodestone.components.errors import ConfigurationError
from lodestone.components.stores import SourceRecord, SourceText
from lodestone.components.stores.ledger import checked_passages
from lodestone.components.stores.source_store import SourceStore
from lodestone.indexing.backlog import Item
from lodestone.indexing.conversion import Conversion
from lodestone.indexing.planning import Known
from lodestone.indexing.report import FileOutcome, Report
from lodestone.indexing.sources import SourceFile

Entry = tuple[SourceRecord, list[SourceText], list[Document]]


class BatchWriter:
    """Writes batches, each together with its entries in the ledger.

    :param store: The store.
    :param pipeline: Fingerprint of the pipeline that made the passages.
    :param known: What the ledger held before the job, by root and path.
    :param report: Where to account for each document.
    :param done: Called with each document when it is finished, its passages, and whether it failed.
    """

    def __init__(
        self,
        store: SourceStore,
        pipeline: str,
        known: Known,
        report: Report,
        done: Callable[[SourceFile, int, bool], None],
    ) -> None:
        self._store = store
        self._pipeline = pipeline
        self._known = known
        self._report = report
        self._done = done

    def write(self, batch: list[Item]) -> None:
        """Write a batch of documents whose passages are embedded.

        :param batch: Documents with what became of them.
        """
        entries = [
            (self._record(task.source, conversion), conversion.texts, conversion.passages)
            for task, conversion in batch
            if conversion.state in ("converted", "failed")
        ]
        written = {(record.root, record.path): record for record, _, _ in self._write(entries)}
        same = [task.source for task, conversion in batch if conversion.state == "same"]
        if same:
            before = [(self._known[source.root, source.path], source) for source in same]
            self._store.touch_sources(
                [replace(record, size=source.size, mtime_ns=source.mtime_ns) for record, source in before]
            )
        for task, conversion in batch:
            record = written.get((task.source.root, task.source.path))
            self._account(task.source, conversion, record)
            self._report.note_time(task.source.shown, conversion.seconds)
            failed = conversion.state in ("failed", "unreadable")
            self._done(task.source, len(conversion.passages), failed)

    def _write(self, entries: list[Entry]) -> list[Entry]:
        """Write entries, a document that the store cannot hold as failed."""
        try:
            refused = self._store.write_sources(entries)
        except ConfigurationError:
            storable = [_storable(entry) for entry in entries]
            if storable == entries:
                raise
            entries, refused = storable, self._store.write_sources(storable)
        if not refused:
            return entries
        return [_failed(entry, refused[_key(entry)]) if _key(entry) in refused else entry for entry in entries]

    def _record(self, source: SourceFile, conversion: Conversion) -> SourceRecord:
        return SourceRecord(
            root=source.root,
            path=source.path,
            size=source.size,
            mtime_ns=source.mtime_ns,
            content_hash=conversion.content_hash,
            pipeline=self._pipeline,
            state="indexed" if conversion.state == "converted" else "failed",
            error=conversion.reason or None,
            passages=len(conversion.passages),
            indexed_at=time.time(),
        )

    def _account(self, source: SourceFile, conversion: Conversion, record: SourceRecord | None) -> None:
        if record is not None and record.error is None:
            self._report.indexed += 1
            self._report.passages += record.passages
        elif record is not None:
            self._report.failed.append(FileOutcome(source.shown, str(record.error)))
        elif conversion.state == "same":
            self._report.unchanged += 1
        elif conversion.state == "unsupported":
            self._report.skipped.append(FileOutcome(source.shown, conversion.reason))
        else:
            key = source.root, source.path
            stays = " (what was indexed of it stays)" if key in self._known else ""
            self._report.failed.append(FileOutcome(source.shown, conversion.reason + stays, key))


def _storable(entry: Entry) -> Entry:
    record, _, passages = entry
    try:
        checked_passages(record, passages)
    except ConfigurationError as error:
        return _failed(entry, str(error))
    return entry


def _failed(entry: Entry, reason: str) -> Entry:
    return replace(entry[0], state="failed", error=reason, passages=0), [], []


def _key(entry: Entry) -> tuple[str, str]:
    return entry[0].root, entry[0].path
