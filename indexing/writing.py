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
from lodestone.indexing.key_set import Key
from lodestone.indexing.planning import Plan
from lodestone.indexing.progress import FileDone
from lodestone.indexing.report import Report
from lodestone.indexing.sources import SourceFile

# What becomes of documents that are not written.
_SHOWN = {"same": "unchanged", "unsupported": "skipped", "unreadable": "failed"}
Entry = tuple[SourceRecord, list[SourceText], list[Document]]

# What is written, and the states that it has in the ledger.
_STATES = {"converted": "indexed", "duplicate": "duplicate", "failed": "failed"}


class BatchWriter:
    """Writes batches, each together with its entries in the ledger.

    :param store: The store.
    :param plan: What the ledger held before the job, and which documents are copies.
    :param report: Where to account for each document.
    :param done: Told of each document when it is finished.
    """

    def __init__(
        self,
        store: SourceStore,
        plan: Plan,
        report: Report,
        done: Callable[[FileDone], None],
    ) -> None:
        self._store = store
        self._plan = plan
        self._report = report
        self._done = done

    def settle(self, batch: list[Item]) -> list[Item]:
        """Decide which documents of a batch are copies of others, so that these are not embedded.

        :param batch: Documents that are converted; all are settled in one place, and written in any order.
        :returns: The same, by root and path; of copies nothing is left to embed.
        """
        return self._plan.duplicates.settle(batch)

    def write(self, batch: list[Item]) -> None:
        """Write a batch of documents whose passages are embedded.

        :param batch: Documents with what became of them.
        """
        self.account(batch, self.store(batch))

    def store(self, batch: list[Item]) -> list[SourceRecord]:
        """Write what was converted or failed into the store, without accounting for it.

        :param batch: Documents with what became of them.
        :returns: What the ledger holds of them now.
        """
        now = [(task, self._as_it_is_now(task, conversion)) for task, conversion in batch]
        entries = [
            (self._record(task.source, conversion), conversion.texts, conversion.passages)
            for task, conversion in now
            if conversion.state in _STATES
        ]
        return [record for record, _, _ in self._write(entries, self._replaced(now, entries))]

    def account(self, batch: list[Item], records: list[SourceRecord]) -> None:
        """Account for a batch that `store` has written, here or on another machine.

        :param batch: Documents with what became of them; their texts and passages may be left out by now.
        :param records: What `store` returned.
        """
        written = {(record.root, record.path): record for record in records}
        if touched := [record for task, conversion in batch if (record := self._touched(task, conversion)) is not None]:
            self._store.touch_sources(touched)
        for task, conversion in batch:
            record = written.get(task.key)
            self._tell(task.key, conversion, record)
            outcome = self._outcome(task.source, conversion, record)
            if outcome.state == "indexed":
                self._plan.count(task.key, outcome.passages)
            self._report.note(outcome)
            self._done(outcome)

    def _as_it_is_now(self, task: Task, conversion: Conversion) -> Conversion:
        """What became of a document, which may have been found to be a copy since it was settled."""
        if conversion.state == "converted" and self._plan.duplicates.owner_before(task.key, conversion.identity):
            return replace(conversion, state="duplicate", texts=[], passages=[])
        return conversion

    def _touched(self, task: Task, conversion: Conversion) -> SourceRecord | None:
        """A document's record if only that changes: its time, or that it cannot be read now."""
        if conversion.state not in ("same", "unreadable"):
            return None
        record, source = self._plan.known.get(task.key), task.source
        if conversion.state == "unreadable" or self._plan.duplicates.owner_before(task.key, conversion.identity):
            record = self._store.source(*task.key)  # it may have become a copy in this run
        if record is None:
            return None
        if conversion.state == "unreadable":
            return replace(record, error=conversion.reason)
        changed = replace(record, size=source.size, mtime_ns=source.mtime_ns)
        return replace(changed, identity=conversion.identity, error=None)

    def _replaced(self, batch: list[Item], entries: list[Entry]) -> dict[Key, Entry]:
        """Owners that become copies, by root and path of the documents that take over from them."""
        here = {_key(entry) for entry in entries}
        replaced = {
            task.key: self._as_copy(conversion.replaces, conversion.identity)
            for task, conversion in batch
            if conversion.replaces is not None and conversion.replaces not in here
        }
        return {key: entry for key, entry in replaced.items() if entry is not None}

    def _as_copy(self, key: Key, identity: str) -> Entry | None:
        """How an owner is written as a copy; None if it owns nothing."""
        record = self._store.source(*key)
        if record is None or (record.state, record.identity) != ("indexed", identity):
            return None
        return replace(record, state="duplicate", passages=0), [], []

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
            entries, refused = storable, self._store.write_sources([*storable, *still])
        if not refused:
            return entries
        return [_failed(entry, refused[_key(entry)]) if _key(entry) in refused else entry for entry in entries]

    def _tell(self, key: Key, conversion: Conversion, record: SourceRecord | None) -> None:
        """Tell the plan what was written; where batches were written in another order than settled, mend it."""
        plan, identity = self._plan, conversion.identity
        if record is not None and record.state == "failed":
            plan.duplicates.lose(key, identity)
        elif (
            record is not None and record.state == "indexed" and (owner := plan.duplicates.owner_before(key, identity))
        ):
            self._end_double(owner, key, identity)
        if conversion.replaces is not None:
            self._end_double(key, conversion.replaces, identity)
            if (passages := plan.uncount(conversion.replaces)) is not None:
                self._report.indexed -= 1
                self._report.passages -= passages

    def _end_double(self, owner: Key, copy: Key, identity: str) -> None:
        if (entry := self._as_copy(copy, identity)) is not None and self._as_copy(owner, identity) is not None:
            self._store.write_sources([entry])

    def _record(self, source: SourceFile, conversion: Conversion) -> SourceRecord:
        return SourceRecord(
            root=source.root,
            path=source.path,
            size=source.size,
            mtime_ns=source.mtime_ns,
            content_hash=conversion.content_hash,
            pipeline=self._plan.fingerprint,
            state=_STATES.get(conversion.state, "failed"),
            error=conversion.reason or None,
            passages=len(conversion.passages),
            indexed_at=time.time(),
            seconds=conversion.seconds,
            identity=conversion.identity,
        )

    def _outcome(self, source: SourceFile, conversion: Conversion, record: SourceRecord | None) -> FileDone:
        key = (source.root, source.path)
        if record is None:
            state, reason, passages = _SHOWN[conversion.state], conversion.reason, 0
            if conversion.state == "unreadable" and key in self._plan.known:
                reason += " (what was indexed of it stays)"
        else:
            state, reason, passages = record.state, record.error or "", record.passages
            if state == "indexed" and self._plan.duplicates.owner_before(key, conversion.identity) is not None:
                state, passages = "duplicate", 0
        unread = key if record is None and state == "failed" else None
        return FileDone(source.shown, state, source.size, passages, conversion.seconds, reason, unread)


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
