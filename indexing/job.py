"""One run of indexing: what is new or changed goes in, what is gone goes out, the rest is left alone."""

import hashlib
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Protocol

from lodestone.components.errors import ConfigurationError
from lodestone.components.stores.source_store import SourceStore
from lodestone.indexing import retrying
from lodestone.indexing.archives import Scratch
from lodestone.indexing.backlog import Backlog, CancelledError, Item
from lodestone.indexing.conversion import Rules, Task
from lodestone.indexing.converting import WorkerPool, convert_here
from lodestone.indexing.embedding import embed, warm_up
from lodestone.indexing.metadata import MetadataRules
from lodestone.indexing.planning import Plan
from lodestone.indexing.report import Report
from lodestone.indexing.scanning import Scan, Scanner
from lodestone.indexing.settings import Settings
from lodestone.indexing.sources import Scope, Source, SourceFile, find_scopes
from lodestone.indexing.stopping import stopped_by_signals
from lodestone.indexing.worker_process import WorkerProcess
from lodestone.indexing.writing import BatchWriter
from lodestone.pipelines.models import check_embedding_model, remember_embedding_model
from lodestone.pipelines.stages import IndexingStages

_LOOK_SECONDS = 0.2
# Batches are whole, and so the same in every run, unless filling one takes so long that a kill would cost too much.
_PATIENCE_SECONDS = 30.0


class Progress(Protocol):
    """What a job tells while it runs."""

    def start(self, files: int, size: int) -> None:
        """The job will read so many files of so many bytes in all."""

    def done(self, source: SourceFile, passages: int, failed: bool) -> None:
        """A file is finished: it gave so many passages, or failed."""


class IndexingJob:
    """Indexes folders and files with an indexing pipeline into a store with a ledger.

    Worker processes convert, this one embeds and writes, all at the same time. Each batch of files is written together:
    their passages, their texts and their entries in the ledger, which come last or in the same transaction. A job that
    was killed is simply run again; what is in the ledger is not read twice. SIGTERM and Ctrl-C end a job after the
    batch that it is at.

    :param stages: The indexing pipeline.
    :param progress: Told what happens; None for nobody.
    :param settings: Workers, batches and limits; None for the defaults.
    :param metadata: Which metadata documents get by rule; None for none.
    :param worker: A worker process that was started ahead; None for none. The job ends it.
    :raises ConfigurationError: If the pipeline writes to another kind of store, or the index was made with another
        embedding model.
    """

    def __init__(
        self,
        stages: IndexingStages,
        progress: Progress | None = None,
        settings: Settings | None = None,
        metadata: MetadataRules | None = None,
        worker: WorkerProcess | None = None,
    ) -> None:
        if not isinstance(stages.document_store, SourceStore):
            kind = type(stages.document_store).__name__
            raise ConfigurationError(
                f"the pipeline must write to a FaissDocumentStore or an ElasticsearchStore, it writes to a {kind}"
            )
        self._stages = stages
        self._store = stages.document_store
        self._progress = progress
        self._settings = Settings() if settings is None else settings
        self._rules = Rules(self._settings.limits, MetadataRules() if metadata is None else metadata)
        self._worker = worker
        self._report = Report()
        self._stop = threading.Event()
        check_embedding_model(self._store, stages.embedder)

    def run(
        self,
        sources: Sequence[str | Path | Source],
        *,
        root_name: str | None = None,
        prune: bool = False,
        verify: bool = False,
        only: frozenset[tuple[str, str]] | None = None,
    ) -> Report:
        """Bring the index up to date with the sources.

        :param sources: Folders, files, globs and URLs.
        :param root_name: The name of the root, when it is not to be called like its folder; for one source only.
        :param prune: Delete what is gone even if that is more than half of what the index holds of a source.
        :param verify: Compare files by hash instead of size and time.
        :param only: Root and path of the only files to look at, as `retrying.failed_files` gives them; nothing is
            deleted then. None for all.
        :returns: The report; after a signal to stop that of the part that was done.
        :raises ConfigurationError: If a path is missing or holds no files, or roots clash; nothing was changed.
        """
        started = time.monotonic()
        if root_name is not None and len(sources) != 1:
            raise ConfigurationError(f"--root-name names the root of one path, got {len(sources)} paths")
        given = [each if isinstance(each, Source) else Source(str(each), root_name=root_name) for each in sources]
        scopes = find_scopes(given, self._store.roots())
        scratch = Scratch()
        try:
            with stopped_by_signals(self._stop):
                self._run(scopes, scratch, prune, verify, only)
        except KeyboardInterrupt:
            self._stop.set()
        finally:
            scratch.remove()
            if self._worker is not None:
                self._worker.kill()
        self._report.stopped = self._stop.is_set()
        self._store.save()
        self._report.sort()
        self._report.seconds = time.monotonic() - started
        return self._report

    def _run(
        self,
        scopes: list[Scope],
        scratch: Scratch,
        prune: bool,
        verify: bool,
        only: frozenset[tuple[str, str]] | None,
    ) -> None:
        leave_out = str(Path(self._store.path).resolve())
        scanner = Scanner(self._settings.limits, scratch.folder, self._settings.archives, leave_out)
        if only is None:
            scans = [(scope, scanner.scan(scope)) for scope in scopes]
        else:
            scans = retrying.scans_of(scanner, scopes, only)
        for scope, found in scans:
            if found.is_empty:
                raise ConfigurationError(f"{scope.shown} holds no files; nothing was changed")
        roots = dict.fromkeys(scope.root for scope in scopes)
        known = {(record.root, record.path): record for root in roots for record in self._store.sources(root)}
        plan = Plan(known, self._fingerprint(), verify, only)
        self._index(scans, plan)
        if only is None and not self._stop.is_set():
            self._delete_gone(scans, plan, prune)

    def _fingerprint(self) -> str:
        """What decides what comes out: the pipeline, and the rules for metadata where there are any."""
        if self._rules.metadata == MetadataRules():
            return self._stages.fingerprint
        return hashlib.sha256(f"{self._stages.fingerprint} {self._rules.metadata}".encode()).hexdigest()

    def _index(self, scans: list[tuple[Scope, Scan]], plan: Plan) -> None:
        # Two sources may hold the same file.
        sources = {(source.root, source.path): source for _, found in scans for source in found.files}
        for scope, found in scans:
            self._report.failed.extend(found.unreadable)
            self._report.skipped.extend(found.skipped)
            self._store.set_root(scope.root, scope.folder)
        todo = [source for source in sources.values() if not plan.is_current(source)]
        tables = sum(source.columns is not None for source in todo)
        remember_embedding_model(self._store, self._stages.embedder)
        if self._progress is not None:
            self._progress.start(len(todo), sum(source.size for source in todo))
        if todo:
            self._convert_and_write(todo, plan)
        self._report.files = len(sources) - tables + len(plan.rows)
        self._report.unchanged += len(sources) - len(todo) + plan.unchanged_rows
        self._report.skipped.extend(plan.repeated_rows)

    def _convert_and_write(self, todo: list[SourceFile], plan: Plan) -> None:
        """One thread minds the converters, one writes, this one embeds."""
        backlog = Backlog(self._settings.batch_passages, self._settings.batch_files)
        writer = BatchWriter(self._store, plan.fingerprint, plan.known, self._report, self._done)
        with ThreadPoolExecutor(2) as threads:
            converting = threads.submit(self._convert, plan.tasks(todo), backlog)
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

    def _convert(self, tasks: Iterator[Task], backlog: Backlog) -> None:
        stage, processes = self._stages.converting, self._settings.processes
        try:
            if processes == 0:
                convert_here(stage, self._rules, tasks, backlog.put)
            else:
                pool = WorkerPool(stage, self._rules, processes, self._worker)
                self._worker = None
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

    def _done(self, source: SourceFile, passages: int, failed: bool) -> None:
        if self._progress is not None:
            self._progress.done(source, passages, failed)

    def _delete_gone(self, scans: list[tuple[Scope, Scan]], plan: Plan, prune: bool) -> None:
        here = {(source.root, source.path) for _, found in scans for source in found.files if source.columns is None}
        here |= plan.rows
        for scope, found in scans:
            unseen = tuple(found.hidden_behind) + tuple(f"{path}/" for _, path in plan.unread_tables)
            held = [path for root, path in plan.known if root == scope.root and scope.holds(path)]
            gone = [path for path in held if (scope.root, path) not in here and not path.startswith(unseen)]
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
