"""One run of indexing: what is new or changed goes in, what is gone goes out, the rest is left alone."""

import hashlib
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from lodestone.components.errors import ConfigurationError
from lodestone.components.stores.source_store import SourceStore
from lodestone.indexing import retrying
from lodestone.indexing.archives import Scratch, no_scratch
from lodestone.indexing.conversion import Rules, Task
from lodestone.indexing.executors import Executor, LocalExecutor, Work
from lodestone.indexing.heirs import Finder, pass_on
from lodestone.indexing.job_tables import JobTables
from lodestone.indexing.key_set import Key
from lodestone.indexing.metadata import MetadataRules
from lodestone.indexing.planning import Plan
from lodestone.indexing.progress import FileDone, Progress
from lodestone.indexing.replacing import Comparison
from lodestone.indexing.report import Copy, Report
from lodestone.indexing.scanning import Scan, Scanner
from lodestone.indexing.settings import Settings
from lodestone.indexing.showing import printable
from lodestone.indexing.sources import Scope, Source, find_scopes
from lodestone.indexing.stopping import stopped_by_signals
from lodestone.indexing.writing import BatchWriter
from lodestone.pipelines.models import check_embedding_model, remember_embedding_model
from lodestone.pipelines.stages import IndexingStages

# So many documents are deleted in one transaction.
_AT_ONCE = 10_000


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
        only: frozenset[tuple[str, str]] | None = None,
        replaces: SourceStore | None = None,
    ) -> Report:
        """Bring the index up to date with the sources.

        :param sources: Folders, files, globs and URLs.
        :param root_name: The name of the root, when it is not to be called like its folder; for one source only.
        :param prune: Delete what is gone even if that is more than half of what the index holds of a source.
        :param verify: Compare files by hash instead of size and time.
        :param only: Root and path of the only files to look at, as `retrying.failed_files` gives them; nothing is
            deleted then. None for all.
        :param replaces: The index that serves, if this one is built to take its place: its roots keep their names, and
            what would be lost makes the report incomplete. None if it is not.
        :returns: The report; after a signal to stop that of the part that was done.
        :raises ConfigurationError: If a path is missing or holds no files, or roots clash; nothing was changed.
        """
        started = time.monotonic()
        if root_name is not None and len(sources) != 1:
            raise ConfigurationError(f"--root-name names the root of one path, got {len(sources)} paths")
        given = [each if isinstance(each, Source) else Source(str(each), root_name=root_name) for each in sources]
        scopes = find_scopes(given, _roots(self._store, replaces))
        scratch = Scratch()
        try:
            with stopped_by_signals(self._stop), closing(self._executor):
                self._run(scopes, scratch, prune, verify, only, replaces)
        except KeyboardInterrupt:
            self._stop.set()
        finally:
            scratch.remove()
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
        replaces: SourceStore | None,
    ) -> None:
        leave_out = str(Path(self._store.path).resolve())
        unpacked = scratch.folder if self._executor.is_local else no_scratch
        scanner = Scanner(self._settings.limits, unpacked, self._settings.archives, leave_out)
        with closing(JobTables()) as tables:
            plan = Plan(tables, self._fingerprint(), verify, only)
            scans = self._scans(scanner, scopes, plan)
            plan.learn(self._store.sources(), {scope.root for scope in scopes})
            self._index(scans, plan)
            if not self._stop.is_set():
                self._note_gone(scans, plan, prune)
                for part in plan.doomed.parts(_AT_ONCE):
                    plan.duplicates.leave(part)
                find = Finder(self._store, plan, scanner)
                pass_on(find, lambda tasks: self._work(tasks, plan), self._report, self._stop)
                self._delete(plan)
            if replaces is not None and not self._stop.is_set():
                Comparison(plan, scans, prune).note_losses(replaces, self._store, self._report)
            self._report.duplicates = [
                Copy(self._shown(copy, scopes), self._shown(owner, scopes)) for copy, owner in plan.duplicates.found()
            ]

    def _scans(self, scanner: Scanner, scopes: list[Scope], plan: Plan) -> list[tuple[Scope, Scan]]:
        """Look for all documents; what was found besides in each source that has anything."""
        if plan.only is None:
            scans = [(scope, scanner.scan(scope)) for scope in scopes]
        else:
            scans = retrying.scans_of(scanner, scopes, plan.only)
        filled = []
        for scope, scan in scans:
            if plan.found.add(scope, scan.files) or scan.has_others:
                filled.append((scope, scan))
            elif plan.only is None:
                raise ConfigurationError(f"{scope.why_empty}; nothing was changed")
        return filled

    def _fingerprint(self) -> str:
        """What decides what comes out: the pipeline, and the rules for metadata where there are any."""
        if self._rules.metadata == MetadataRules():
            return self._stages.fingerprint
        return hashlib.sha256(f"{self._stages.fingerprint} {self._rules.metadata}".encode()).hexdigest()

    def _index(self, scans: list[tuple[Scope, Scan]], plan: Plan) -> None:
        for scope, found in scans:
            self._report.failed.extend(found.unreadable)
            self._report.skipped.extend(found.skipped)
            self._store.set_root(scope.root, scope.folder)
        # A copy of what is gone is somebody's copy no more, even if what is gone is so much that it stays.
        if plan.only is None:
            for scope, scan in scans:
                plan.duplicates.leave(plan.gone(scope, scan, is_read=False))
        plan.put_off(int(self._settings.limits.megabytes * 2**20))
        (files, tables), later = plan.found.count(), len(plan.later)
        new, size = plan.find_todo()
        remember_embedding_model(self._store, self._stages.embedder)
        left_out = [
            FileDone(each.path, "failed", reason=each.reason, unread=each.unread) for each in self._report.failed
        ]
        left_out += [FileDone(each.path, "skipped", reason=each.reason) for each in self._report.skipped]
        self._progress.start(new, size, left_out)
        if new:
            self._work(plan.tasks(plan.todo()), plan)
        self._report.files = files - tables + len(plan.rows)
        self._report.unchanged += files - new - later + plan.unchanged_rows
        self._report.skipped.extend(plan.repeated_rows)

    def _work(self, tasks: Iterator[Task], plan: Plan) -> None:
        writer = BatchWriter(self._store, plan, self._report, self._progress.done)
        self._executor.run(Work(tasks, self._stages, self._rules, self._settings, writer, self._stop, self._progress))

    def _shown(self, key: Key, scopes: list[Scope]) -> str:
        """A document as the user would type it, if this job looks after it."""
        root, path = key
        scope = next((scope for scope in scopes if scope.root == root and scope.has(path)), None)
        return printable(f"{root}/{path}") if scope is None else scope.show(path)

    def _note_gone(self, scans: list[tuple[Scope, Scan]], plan: Plan, prune: bool) -> None:
        """Note what is to be deleted."""
        if plan.only is not None:
            plan.doomed.update(plan.outlived())
            return
        for scope, scan in scans:
            lost = sum(plan.is_lost(key) for key in plan.gone(scope, scan, is_read=True))
            stays = bool(lost) and not prune and lost * 2 > (held := plan.held(scope))
            if stays:
                self._report.incomplete = True
                self._report.warnings.append(
                    f"{lost} of the {held} files that the index holds of {scope.shown} are gone from there; "
                    "their passages stay. If that is meant, run again with --prune"
                )
            plan.doomed.update(key for key in plan.gone(scope, scan, is_read=True) if not (stays and plan.is_lost(key)))

    def _delete(self, plan: Plan) -> None:
        for part in plan.doomed.parts(_AT_ONCE):
            if self._stop.is_set():
                return
            self._store.delete_sources(part)
            records = map(plan.known.get, part)
            self._report.deleted += sum(record is not None and record.state != "failed" for record in records)


def _roots(store: SourceStore, replaces: SourceStore | None) -> dict[str, str]:
    """Name and folder of the roots that are known; a folder is called what it is called in the index that serves."""
    known = {} if replaces is None else replaces.roots()
    folders = set(known.values())
    return {**known, **{name: at for name, at in store.roots().items() if name not in known and at not in folders}}
