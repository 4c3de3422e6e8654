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
from lodestone.indexing.conversion import Conversion, Task
from lodestone.indexing.planning import Key, Plan
from lodestone.indexing.report import FileOutcome, Report
from lodestone.indexing.sources import SourceFile

Entry = tuple[SourceRecord, list[SourceText], list[Document]]

# What is written, and the states that it has in the ledger.
_WRITTEN = {"converted": "indexed", "duplicate": "duplicate", "failed": "failed"}


class BatchWriter:
    """Writes batches, each together with its entries in the ledger.

    :param store: The store.
    :param plan: What the ledger held before the job, and which documents are copies.
    :param report: Where to account for each document.
    :param done: Called with each document when it is finished, its passages, and whether it failed.
    """

    def __init__(
        self,
        store: SourceStore,
        plan: Plan,
        report: Report,
        done: Callable[[SourceFile, int, bool], None],
    ) -> None:
        self._store = store
        self._plan = plan
        self._report = report
        self._done = done

    def settle(self, batch: list[Item]) -> list[Item]:
        """Decide which documents of a batch are copies of others, so that these are not embedded.

        :param batch: Documents that are converted. Batches are to be written in the order in which they are settled.
        :returns: The same, by root and path; of copies nothing is left to embed.
        """
        return self._plan.duplicates.settle(batch)

    def write(self, batch: list[Item]) -> None:
        """Write a batch of documents whose passages are embedded.

        :param batch: Documents with what became of them.
        """
        entries = [
            (self._record(task.source, conversion), conversion.texts, conversion.passages)
            for task, conversion in batch
            if conversion.state in _WRITTEN or (conversion.state == "unreadable" and not self._holds(task.key))
        ]
        written = {_key(entry): entry[0] for entry in self._write(entries, self._replaced(batch, entries))}
        if touched := [record for task, conversion in batch if (record := self._touched(task, conversion)) is not None]:
            self._store.touch_sources(touched)
        for task, conversion in batch:
            self._account(task.source, conversion, written.get(task.key))
            self._report.note_time(task.source.shown, conversion.seconds)
            failed = conversion.state in ("failed", "unreadable")
            self._done(task.source, len(conversion.passages), failed)

    def _holds(self, key: Key) -> bool:
        """Whether the index held a document, or knew it for a copy, before the job."""
        return key in self._plan.known and self._plan.known[key].state != "failed"

    def _touched(self, task: Task, conversion: Conversion) -> SourceRecord | None:
        """A document's record if only that changes: its time, or that it cannot be read now."""
        source, record = task.source, self._plan.known.get(task.key)
        if conversion.state == "same" and record is not None:
            changed = replace(record, size=source.size, mtime_ns=source.mtime_ns, error=None)
            return replace(changed, identity=conversion.identity)
        if conversion.state == "unreadable" and self._holds(task.key):
            held = self._store.source(*task.key)
            return None if held is None else replace(held, error=conversion.reason)
        return None

    def _replaced(self, batch: list[Item], entries: list[Entry]) -> dict[Key, Entry]:
        """Owners that become copies, by root and path of the documents that take over from them."""
        here = {_key(entry) for entry in entries}
        replaced: dict[Key, Entry] = {}
        for task, conversion in batch:
            if conversion.replaces is None or conversion.replaces in here:
                continue
            record = self._store.source(*conversion.replaces)
            if record is not None and (record.state, record.identity) == ("indexed", conversion.identity):
                replaced[task.key] = replace(record, state="duplicate", passages=0), [], []
                if self._plan.duplicates.is_found(conversion.replaces):  # it is of this run, and was counted
                    self._report.indexed -= 1
                    self._report.passages -= record.passages
        return replaced

    def _write(self, entries: list[Entry], replaced: dict[Key, Entry]) -> list[Entry]:
        """Write entries, a document that the store cannot hold as failed."""
        try:
            refused = self._store.write_sources([*entries, *replaced.values()])
        except ConfigurationError:
            storable = [_storable(entry) for entry in entries]
            if storable == entries:
                raise
            stored = {_key(entry) for entry in storable if entry[0].state == "indexed"}
            still = [entry for key, entry in replaced.items() if key in stored]
            written, refused = storable, self._store.write_sources([*storable, *still])
        else:
            written = entries
        if refused:
            written = [_failed(entry, refused[_key(entry)]) if _key(entry) in refused else entry for entry in written]
        for (meant, _, _), (record, _, _) in zip(entries, written, strict=True):
            if meant.state != record.state:
                self._plan.duplicates.lose((meant.root, meant.path), meant.identity)
        return written

    def _record(self, source: SourceFile, conversion: Conversion) -> SourceRecord:
        return SourceRecord(
            root=source.root,
            path=source.path,
            size=source.size,
            mtime_ns=source.mtime_ns,
            content_hash=conversion.content_hash,
            pipeline=self._plan.fingerprint,
            state=_WRITTEN.get(conversion.state, "failed"),
            error=conversion.reason or None,
            passages=len(conversion.passages),
            indexed_at=time.time(),
            seconds=conversion.seconds,
            identity=conversion.identity,
        )

    def _account(self, source: SourceFile, conversion: Conversion, record: SourceRecord | None) -> None:
        if record is not None and record.state == "duplicate":
            return  # how many there are in the end, the plan knows
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
            stays = " (what was indexed of it stays)" if self._holds((source.root, source.path)) else ""
            self._report.failed.append(FileOutcome(source.shown, conversion.reason + stays))


def _storable(entry: Entry) -> Entry:
    record, _, passages = entry
    try:
        checked_passages(record, passages)
    except ConfigurationError as error:
        return _failed(entry, str(error))
    return entry


def _failed(entry: Entry, reason: str) -> Entry:
    return replace(entry[0], state="failed", error=reason, passages=0, identity=""), [], []


def _key(entry: Entry) -> tuple[str, str]:
    return entry[0].root, entry[0].path
