"""One run of indexing: what is new or changed goes in, what is gone goes out, the rest is left alone."""

import hashlib
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from lodestone.components.errors import ConfigurationError
from lodestone.components.stores.source_store import SourceStore
from lodestone.indexing.archives import Scratch
from lodestone.indexing.conversion import Rules
from lodestone.indexing.executors import Executor, LocalExecutor, Work
from lodestone.indexing.metadata import MetadataRules
from lodestone.indexing.planning import Plan
from lodestone.indexing.progress import FileDone, Progress
from lodestone.indexing.report import Report
from lodestone.indexing.scanning import Scan, Scanner
from lodestone.indexing.settings import Settings
from lodestone.indexing.sources import Scope, Source, find_scopes
from lodestone.indexing.stopping import stopped_by_signals
from lodestone.indexing.writing import BatchWriter
from lodestone.pipelines.models import check_embedding_model, remember_embedding_model
from lodestone.pipelines.stages import IndexingStages


class IndexingJob:
    """Indexes folders and files with an indexing pipeline into a store with a ledger.

    What is to be converted, embedded and written is left to an executor. Each batch of files is written together:
    their passages, their texts and their entries in the ledger, which come last or in the same transaction. A job that
    was killed is simply run again; what is in the ledger is not read twice. SIGTERM and Ctrl-C end a job after the
    batch that it is at.

    :param stages: The indexing pipeline.
    :param progress: Told what happens; None for nobody.
    :param settings: Workers, batches and limits; None for the defaults.
    :param metadata: Which metadata documents get by rule; None for none.
    :param executor: Does the work; None for a `LocalExecutor`. The job closes it.
    :raises ConfigurationError: If the pipeline writes to another kind of store, or the index was made with another
        embedding model.
    """

    def __init__(
        self,
        stages: IndexingStages,
        progress: Progress | None = None,
        settings: Settings | None = None,
        metadata: MetadataRules | None = None,
        executor: Executor | None = None,
    ) -> None:
        if not isinstance(stages.document_store, SourceStore):
            kind = type(stages.document_store).__name__
            raise ConfigurationError(
                f"the pipeline must write to a FaissDocumentStore or an ElasticsearchStore, it writes to a {kind}"
            )
        self._stages = stages
        self._store = stages.document_store
        self._progress = Progress() if progress is None else progress
        self._settings = Settings() if settings is None else settings
        self._rules = Rules(self._settings.limits, MetadataRules() if metadata is None else metadata)
        self._executor = LocalExecutor() if executor is None else executor
        self._report = Report()
        self._stop = threading.Event()
        check_embedding_model(self._store, stages.embedder)

    @property
    def is_stopping(self) -> bool:
        """Whether it has been told to stop, and ends after the batch that it is at."""
        return self._stop.is_set()

    def run(
        self,
        sources: Sequence[str | Path | Source],
        *,
        root_name: str | None = None,
        prune: bool = False,
        verify: bool = False,
    ) -> Report:
        """Bring the index up to date with the sources.

        :param sources: Folders, files, globs and URLs.
        :param root_name: The name of the root, when it is not to be called like its folder; for one source only.
        :param prune: Delete what is gone even if that is more than half of what the index holds of a source.
        :param verify: Compare files by hash instead of size and time.
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
                self._run(scopes, scratch, prune, verify)
        except KeyboardInterrupt:
            self._stop.set()
        finally:
            scratch.remove()
            self._executor.close()
        self._report.stopped = self._stop.is_set()
        self._store.save()
        self._report.sort()
        self._report.seconds = time.monotonic() - started
        return self._report

    def _run(self, scopes: list[Scope], scratch: Scratch, prune: bool, verify: bool) -> None:
        leave_out = str(Path(self._store.path).resolve())
        scanner = Scanner(self._settings.limits, scratch.folder, self._settings.archives, leave_out)
        scans = [(scope, scanner.scan(scope)) for scope in scopes]
        for scope, found in scans:
            if found.is_empty:
                raise ConfigurationError(f"{scope.why_empty}; nothing was changed")
        roots = dict.fromkeys(scope.root for scope in scopes)
        known = {(record.root, record.path): record for root in roots for record in self._store.sources(root)}
        plan = Plan(known, self._fingerprint(), verify)
        self._index(scans, plan)
        if not self._stop.is_set():
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
        left_out = [FileDone(each.path, "failed", reason=each.reason) for each in self._report.failed]
        left_out += [FileDone(each.path, "skipped", reason=each.reason) for each in self._report.skipped]
        self._progress.start(len(todo), sum(source.size for source in todo), left_out)
        if todo:
            writer = BatchWriter(self._store, plan.fingerprint, plan.known, self._report, self._progress.done)
            tasks = plan.tasks(todo)
            self._executor.run(
                Work(tasks, self._stages, self._rules, self._settings, writer, self._stop, self._progress)
            )
        self._report.files = len(sources) - tables + len(plan.rows)
        self._report.unchanged += len(sources) - len(todo) + plan.unchanged_rows
        self._report.skipped.extend(plan.repeated_rows)

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
