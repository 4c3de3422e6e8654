"""One run of indexing: what is new or changed goes in, what is gone goes out, the rest is left alone."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from haystack import Document

from lodestone.components.errors import ConfigurationError
from lodestone.components.stores import SourceRecord, SourceText
from lodestone.components.stores.source_store import SourceStore
from lodestone.indexing.conversion import ConversionError, UnreadableError, UnsupportedError, convert, read_bytes
from lodestone.indexing.report import FileOutcome, Report
from lodestone.indexing.sources import Scan, Scope, SourceFile, find_scopes, scan
from lodestone.pipelines.models import check_embedding_model, remember_embedding_model
from lodestone.pipelines.stages import IndexingStages

_BATCH_PASSAGES = 256
_BATCH_FILES = 64


class Progress(Protocol):
    """What a job tells while it runs."""

    def start(self, files: int, size: int) -> None:
        """The job will read so many files of so many bytes in all."""

    def done(self, source: SourceFile, passages: int) -> None:
        """A file is finished: it gave so many passages."""


@dataclass
class _Pending:
    source: SourceFile
    record: SourceRecord
    texts: list[SourceText]
    passages: list[Document]


class IndexingJob:
    """Indexes folders and files with an indexing pipeline into a store with a ledger.

    Each batch of files is written together: their passages, their texts and their entries in the ledger, which come
    last or in the same transaction. A job that was killed is simply run again; what is in the ledger is not read twice.

    :param stages: The indexing pipeline.
    :param progress: Told what happens; None for nobody.
    :raises ConfigurationError: If the pipeline writes to another kind of store, or the index was made with another
        embedding model.
    """

    def __init__(self, stages: IndexingStages, progress: Progress | None = None) -> None:
        if not isinstance(stages.document_store, SourceStore):
            kind = type(stages.document_store).__name__
            raise ConfigurationError(
                f"the pipeline must write to a FaissDocumentStore or an ElasticsearchStore, it writes to a {kind}"
            )
        self._stages = stages
        self._store = stages.document_store
        self._progress = progress
        self._pending: list[_Pending] = []
        self._report = Report()
        check_embedding_model(self._store, stages.embedder)

    def run(
        self, paths: Sequence[Path], *, root_name: str | None = None, prune: bool = False, verify: bool = False
    ) -> Report:
        """Bring the index up to date with the paths.

        :param paths: Folders and files.
        :param root_name: The name of the root, when it is not to be called like its folder; for one path only.
        :param prune: Delete what is gone even if that is more than half of what the index holds of a path.
        :param verify: Compare files by hash instead of size and time.
        :returns: The report; after Ctrl-C that of the part that was done.
        :raises ConfigurationError: If a path is missing or holds no files, or roots clash; nothing was changed.
        """
        started = time.monotonic()
        scopes = find_scopes(list(paths), self._store.roots(), root_name)
        index = Path(self._store.path).resolve()
        scans = [(scope, scan(scope, leave_out=index)) for scope in scopes]
        for scope, found in scans:
            if not (found.files or found.unreadable or found.skipped):
                raise ConfigurationError(f"{scope.shown} holds no files; nothing was changed")
        known = {(record.root, record.path): record for scope in scopes for record in self._store.sources(scope.root)}
        try:
            self._index(scans, known, verify)
            self._delete_gone(scans, known, prune)
        except KeyboardInterrupt:
            self._report.stopped = True
        self._store.save()
        self._report.seconds = time.monotonic() - started
        return self._report

    def _index(self, scans: list[tuple[Scope, Scan]], known: dict[tuple[str, str], SourceRecord], verify: bool) -> None:
        sources = [source for _, found in scans for source in found.files]
        self._report.files = len(sources)
        for scope, found in scans:
            self._report.failed.extend(found.unreadable)
            self._report.skipped.extend(found.skipped)
            self._store.set_root(scope.root, str(scope.folder))
        todo = [source for source in sources if verify or not self._is_current(source, known)]
        self._report.unchanged = len(sources) - len(todo)
        remember_embedding_model(self._store, self._stages.embedder)
        if self._progress is not None:
            self._progress.start(len(todo), sum(source.size for source in todo))
        for source in todo:
            self._take(source, known.get((source.root, source.path)))
            waiting = sum(len(pending.passages) for pending in self._pending)
            if waiting >= _BATCH_PASSAGES or len(self._pending) >= _BATCH_FILES:
                self._flush()
        self._flush()

    def _is_current(self, source: SourceFile, known: dict[tuple[str, str], SourceRecord]) -> bool:
        record = known.get((source.root, source.path))
        return (
            record is not None
            and record.state == "indexed"
            and (record.size, record.mtime_ns) == (source.size, source.mtime_ns)
            and record.pipeline == self._stages.fingerprint
        )

    def _take(self, source: SourceFile, before: SourceRecord | None) -> None:
        """Convert one file and queue it for its batch, or account for it at once."""
        try:
            data, content_hash = read_bytes(source)
            record = SourceRecord(
                root=source.root,
                path=source.path,
                size=source.size,
                mtime_ns=source.mtime_ns,
                content_hash=content_hash,
                pipeline=self._stages.fingerprint,
                state="indexed",
                error=None,
                passages=0,
                indexed_at=time.time(),
            )
            if before is not None and _same_content(before, record):
                self._store.touch_sources([replace(before, size=source.size, mtime_ns=source.mtime_ns)])
                self._report.unchanged += 1
                self._finished(source, 0)
                return
            converted = convert(source, data, self._stages)
            record = replace(record, passages=len(converted.passages))
            self._pending.append(_Pending(source, record, converted.texts, converted.passages))
        except UnreadableError as error:
            self._fail(source, str(error) + (" (what was indexed of it stays)" if before is not None else ""))
        except UnsupportedError as error:
            self._report.skipped.append(FileOutcome(source.shown, str(error)))
            self._finished(source, 0)
        except ConversionError as error:
            failed = replace(record, state="failed", error=str(error))
            self._pending.append(_Pending(source, failed, [], []))

    def _flush(self) -> None:
        """Embed and write what is pending, in one transaction."""
        if not self._pending:
            return
        passages = [passage for pending in self._pending for passage in pending.passages]
        embedded = iter(self._embed(passages))
        entries = [
            (pending.record, pending.texts, [next(embedded) for _ in pending.passages]) for pending in self._pending
        ]
        refused = self._store.write_sources(entries) or {}
        for pending in self._pending:
            error = refused.get((pending.record.root, pending.record.path), pending.record.error)
            if error is not None:
                self._fail(pending.source, error)
                continue
            self._report.indexed += 1
            self._report.passages += len(pending.passages)
            self._finished(pending.source, len(pending.passages))
        self._pending = []

    def _embed(self, passages: list[Document]) -> list[Document]:
        if self._stages.embedder is None or not passages:
            return passages
        warm_up: Any = getattr(self._stages.embedder, "warm_up", None)
        if warm_up is not None:
            warm_up()
        documents: list[Document] = self._stages.embedder.run(documents=passages)["documents"]
        return documents

    def _fail(self, source: SourceFile, reason: str) -> None:
        self._report.failed.append(FileOutcome(source.shown, reason))
        self._finished(source, 0)

    def _finished(self, source: SourceFile, passages: int) -> None:
        if self._progress is not None:
            self._progress.done(source, passages)

    def _delete_gone(
        self, scans: list[tuple[Scope, Scan]], known: dict[tuple[str, str], SourceRecord], prune: bool
    ) -> None:
        for scope, found in scans:
            here = {source.path for source in found.files}
            held = [path for root, path in known if root == scope.root and scope.holds(path)]
            gone = [path for path in held if path not in here and not path.startswith(tuple(found.hidden_behind))]
            if not gone:
                continue
            if len(gone) * 2 > len(held) and not prune:
                self._report.incomplete = True
                self._report.warnings.append(
                    f"{len(gone)} of the {len(held)} files that the index holds of {scope.shown} are gone from there; "
                    "their passages stay. If that is meant, run again with --prune"
                )
                continue
            self._store.delete_sources([(scope.root, path) for path in gone])
            self._report.deleted += len(gone)


def _same_content(before: SourceRecord, now: SourceRecord) -> bool:
    return before.state == "indexed" and before.content_hash == now.content_hash and before.pipeline == now.pipeline
