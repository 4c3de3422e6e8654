"""Keeping the record of a job while it runs."""

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from types import TracebackType
from typing import Any, Self

from haystack import logging

from lodestone import __version__
from lodestone.components.errors import LodestoneError
from lodestone.components.stores.source_store import SourceStore
from lodestone.indexing.job_file import JobDefinition
from lodestone.indexing.job_record import DONE, FAILED, STOPPED, WITH_FAILURES, JobRecord
from lodestone.indexing.job_records import JobRecords, index_of
from lodestone.indexing.job_text import as_text
from lodestone.indexing.progress import FileDone, Progress
from lodestone.indexing.report import Report
from lodestone.indexing.sources import SourceFile

logger = logging.getLogger(__name__)

_EVERY_SECONDS = 5.0
_FIRST_SECONDS = 0.5
_LISTED = 1000
_UNREAD = 10_000
_PATIENCE_SECONDS = 60.0


def new_record(
    store: SourceStore,
    definition: JobDefinition,
    command: str,
    *,
    swap: bool = False,
    of: JobRecord | None = None,
    is_retry: bool = False,
) -> JobRecord:
    """A record for a job that is about to start in this process.

    :param store: The index that the record is to be kept with.
    :param definition: The job.
    :param command: What was typed.
    :param swap: Whether a new index is built.
    :param of: The job that this one resumes or retries; None if it is new.
    :param is_retry: Whether only files that failed are taken up.
    """
    return JobRecord(
        id=JobRecords(store).new_id(),
        command=command,
        definition=as_text(definition, index_of(store)),
        kind="retry" if is_retry else "index",
        of=None if of is None else of.id,
        swap=swap,
        version=__version__,
        unread=list(of.unread) if is_retry and of is not None else [],
    )


class JobRecorder(Progress):
    """Writes the record of a job when it starts, every few seconds, and when it ends, where there is an index.

    It is a context, within which the job runs, and a `Progress` that counts what the job tells. A job that somebody
    asked to stop, by its record, is sent SIGTERM.

    :param store: The index that the record is kept with.
    :param record: The record.
    :param progress: Told what the job tells, too.
    """

    def __init__(self, store: SourceStore, record: JobRecord, progress: Progress) -> None:
        self._store = store
        self._records = JobRecords(store)
        self._record = record
        self._progress = progress
        self._kept = False
        self._counting = threading.Lock()
        self._saving = threading.Lock()
        self._ended = threading.Event()
        self._news = threading.Event()
        self._clockwork = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Self:
        self._keep()
        self._clockwork.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._news.set()
        # The store may be out of reach, and asked again and again; that must not keep the job from ending.
        self._clockwork.join(_PATIENCE_SECONDS)
        record = self._record
        if isinstance(error, Exception):
            record.state, record.error = FAILED, str(error) or type(error).__name__
        elif error is not None:
            record.state = STOPPED
        record.ended = time.time()
        try:
            self._keep()
            if self._kept and self._records.is_asked_to_stop(record):
                self._records.forget_asking(record)
        except (LodestoneError, OSError) as problem:
            if error is None:
                logger.warning("the job's record could not be written: {problem}", problem=str(problem))

    def start(self, files: int, size: int, left_out: Sequence[FileDone]) -> None:
        """See `Progress.start`."""
        record = self._record
        with self._counting:
            record.began, record.files, record.size = time.time(), files, size
            self._note_unread(left_out)
        self._keep()
        self._progress.start(files, size, left_out)

    def converting(self, path: str, seconds: float) -> None:
        """See `Progress.converting`."""
        self._progress.converting(path, seconds)

    def converted(self, source: SourceFile) -> None:
        """See `Progress.converted`."""
        self._progress.converted(source)

    def embedding(self, files: Sequence[tuple[SourceFile, int]]) -> None:
        """See `Progress.embedding`."""
        self._progress.embedding(files)

    def embedded(self, passages: int) -> None:
        """See `Progress.embedded`."""
        self._progress.embedded(passages)

    def writing(self, files: int) -> None:
        """See `Progress.writing`."""
        self._progress.writing(files)

    def done(self, file: FileDone) -> None:
        """See `Progress.done`."""
        counts = self._record.counts
        with self._counting:
            counts["files"] += 1
            counts["bytes"] += file.size
            counts["passages"] += file.passages
            counts["failed"] += file.state == "failed"
            self._note_unread([file])
        self._news.set()
        self._progress.done(file)

    def _note_unread(self, files: Sequence[FileDone]) -> None:
        """Keep what the ledger does not know, for a job that is killed."""
        kept = self._record.unread
        for file in files:
            if file.unread is not None and len(kept) < _UNREAD and file.unread not in kept:
                kept.append(file.unread)

    @contextmanager
    def swapping(self) -> Iterator[None]:
        """Within the block another index may take the place of the one that the records are kept with."""
        with self._saving:
            texts = self._records.texts()
            yield
            if self._store.exists():
                self._records.add_texts(texts)

    def end(self, report: Report) -> None:
        """Take what the job did into its record, which is written at the end of the context.

        :param report: The job's.
        """
        record = self._record
        names = ["files", "indexed", "unchanged", "passages", "deleted"]
        if report.stopped:
            names.remove("files")  # of those that were found it has come to some only, which are counted already
        counted = {name: getattr(report, name) for name in names}
        counted |= {"failed": len(report.failed), "skipped": len(report.skipped)}
        with self._counting:
            record.counts |= counted
        record.report = _short(report)
        record.state = STOPPED if report.stopped else DONE if report.complete else WITH_FAILURES
        unread = {each.unread for each in report.failed if each.unread is not None}
        # What a stopped job has not come to is still to be read.
        record.unread = sorted(unread.union(record.unread) if report.stopped else unread)[:_UNREAD]

    def _keep(self) -> None:
        if not self._store.exists():
            return  # writing would make one, and it is not said yet that there is anything to index
        with self._saving:
            with self._counting:
                record = deepcopy(self._record)
            self._records.save(record)
        if not self._kept:
            self._kept = True
            self._records.forget_old()

    def _tick(self) -> None:
        # What is done is on record soon, also that of a job that is killed before long.
        pause = min(_FIRST_SECONDS, _EVERY_SECONDS)
        while True:
            self._news.wait(_EVERY_SECONDS - pause)
            if self._ended.wait(pause):
                return
            self._news.clear()
            pause = min(2 * pause, _EVERY_SECONDS)
            # What is wrong with the index is said when the job itself needs it.
            with suppress(LodestoneError, OSError):
                self._keep()
                if self._kept and self._records.is_asked_to_stop(self._record):
                    os.kill(os.getpid(), signal.SIGTERM)
                    return


def _short(report: Report) -> dict[str, Any]:
    """A report without what can be as long as there are files, and is not asked for later."""
    values = {name: value for name, value in report.to_dict().items() if name not in ("encrypted", "needs_ocr")}
    return {name: value[:_LISTED] if isinstance(value, list) else value for name, value in values.items()}
