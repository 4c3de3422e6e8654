"""One run of indexing: what is new or changed goes in, what is gone goes out, the rest is left alone."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Protocol

from lodestone.components.errors import ConfigurationError
from lodestone.components.stores import FaissDocumentStore
from lodestone.indexing.backlog import Backlog, CancelledError, Item
from lodestone.indexing.conversion import Task
from lodestone.indexing.converting import WorkerPool, convert_here
from lodestone.indexing.embedding import embed, warm_up
from lodestone.indexing.report import Report
from lodestone.indexing.settings import Settings
from lodestone.indexing.sources import Scan, Scope, SourceFile, find_scopes, scan
from lodestone.indexing.stopping import stopped_by_signals
from lodestone.indexing.worker_process import WorkerProcess
from lodestone.indexing.writing import BatchWriter, Known
from lodestone.pipelines.models import check_embedding_model, remember_embedding_model
from lodestone.pipelines.stages import IndexingStages

_LOOK_SECONDS = 0.2
# Batches are whole, and so the same in every run, unless filling one takes so long that a kill would cost too much.
_PATIENCE_SECONDS = 30.0


class Progress(Protocol):
    """What a job tells while it runs."""

    def start(self, files: int, size: int) -> None:
        """The job will read so many files of so many bytes in all."""

    def done(self, source: SourceFile, passages: int) -> None:
        """A file is finished: it gave so many passages."""


class IndexingJob:
    """Indexes folders and files with an indexing pipeline into a `FaissDocumentStore`.

    Worker processes convert, this one embeds and writes, all at the same time. Each batch of files is one transaction:
    their passages, their texts and their entries in the ledger. A job that was killed is simply run again; what is in
    the ledger is not read twice. SIGTERM and Ctrl-C end a job after the batch that it is at.

    :param stages: The indexing pipeline.
    :param progress: Told what happens; None for nobody.
    :param settings: Workers, batches and limits; None for the defaults.
    :param worker: A worker process that was started ahead; None for none. The job ends it.
    :raises ConfigurationError: If the pipeline writes to another kind of store, or the index was made with another
        embedding model.
    """

    def __init__(
        self,
        stages: IndexingStages,
        progress: Progress | None = None,
        settings: Settings | None = None,
        worker: WorkerProcess | None = None,
    ) -> None:
        if not isinstance(stages.document_store, FaissDocumentStore):
            kind = type(stages.document_store).__name__
            raise ConfigurationError(f"the pipeline must write to a FaissDocumentStore, it writes to a {kind}")
        self._stages = stages
        self._store = stages.document_store
        self._progress = progress
        self._settings = Settings() if settings is None else settings
        self._worker = worker
        self._report = Report()
        self._stop = threading.Event()
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
            with stopped_by_signals(self._stop):
                self._index(scans, known, verify)
        except KeyboardInterrupt:
            self._stop.set()
        if self._stop.is_set():
            self._report.stopped = True
        else:
            self._delete_gone(scans, known, prune)
        self._store.save()
        self._report.sort()
        self._report.seconds = time.monotonic() - started
        return self._report

    def _index(self, scans: list[tuple[Scope, Scan]], known: Known, verify: bool) -> None:
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
        if todo:
            self._convert_and_write([self._task(source, known) for source in todo], known)
        elif self._worker is not None:
            self._worker.kill()

    def _is_current(self, source: SourceFile, known: Known) -> bool:
        record = known.get((source.root, source.path))
        return (
            record is not None
            and record.state == "indexed"
            and (record.size, record.mtime_ns) == (source.size, source.mtime_ns)
            and record.pipeline == self._stages.fingerprint
        )

    def _task(self, source: SourceFile, known: Known) -> Task:
        record = known.get((source.root, source.path))
        is_reusable = record is not None and record.state == "indexed" and record.pipeline == self._stages.fingerprint
        return Task(source, record.content_hash if record is not None and is_reusable else None)

    def _convert_and_write(self, tasks: list[Task], known: Known) -> None:
        """One thread minds the converters, one writes, this one embeds."""
        backlog = Backlog(self._settings.batch_passages, self._settings.batch_files)
        writer = BatchWriter(self._store, self._stages.fingerprint, known, self._report, self._done)
        with ThreadPoolExecutor(2) as threads:
            converting = threads.submit(self._convert, tasks, backlog)
            writing: Future[None] | None = None
            try:
                warm_up(self._stages.embedder)
                taken = time.monotonic()
                while not self._stop.is_set():
                    is_urgent = time.monotonic() - taken > _PATIENCE_SECONDS
                    batch = backlog.take(_LOOK_SECONDS, whole=not is_urgent)
                    if batch is None:
                        break
                    if not batch:
                        continue
                    taken = time.monotonic()
                    embedded = self._embedded(batch)
                    if writing is not None:
                        writing.result()
                    writing = threads.submit(writer.write, embedded)
            finally:
                backlog.cancel()
            if writing is not None:
                writing.result()
            converting.result()

    def _convert(self, tasks: list[Task], backlog: Backlog) -> None:
        stage, settings = self._stages.converting, self._settings
        try:
            if settings.processes == 0:
                convert_here(stage, settings.limits, tasks, backlog.put)
            else:
                pool = WorkerPool(stage, settings.limits, settings.processes, self._worker)
                pool.run(tasks, backlog.put, lambda: backlog.is_cancelled)
        except CancelledError:
            return
        finally:
            backlog.end()

    def _embedded(self, batch: list[Item]) -> list[Item]:
        passages = [passage for _, conversion in batch for passage in conversion.passages]
        embedded = iter(embed(self._stages.embedder, passages) if passages else [])
        return [
            (task, replace(conversion, passages=list(islice(embedded, len(conversion.passages)))))
            for task, conversion in batch
        ]

    def _done(self, source: SourceFile, passages: int) -> None:
        if self._progress is not None:
            self._progress.done(source, passages)

    def _delete_gone(self, scans: list[tuple[Scope, Scan]], known: Known, prune: bool) -> None:
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
