"""The work of a job in processes of this machine."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from itertools import islice
from typing import Any

from lodestone.indexing.backlog import Backlog, CancelledError, Item
from lodestone.indexing.conversion import Conversion, Task
from lodestone.indexing.converting import WorkerPool, convert_here
from lodestone.indexing.embedding import embed, warm_up
from lodestone.indexing.executors.executor import Work
from lodestone.indexing.progress import Progress
from lodestone.indexing.worker_process import WorkerProcess

_LOOK_SECONDS = 0.2
# Batches are whole, and so the same in every run, unless filling one takes so long that a kill would cost too much.
_PATIENCE_SECONDS = 30.0


class LocalExecutor:
    """Worker processes convert, this one embeds and writes, all at the same time.

    :param worker: A worker process that was started ahead; None for none. It belongs to the executor from now on.
    """

    is_local = True

    def __init__(self, worker: WorkerProcess | None = None) -> None:
        self._worker = worker

    def run(self, work: Work) -> None:
        """See `Executor.run`: one thread minds the converters, one writes, the caller's embeds."""
        backlog = Backlog(work.settings.batch_passages, work.settings.batch_files)
        with ThreadPoolExecutor(2) as threads:
            converting = threads.submit(self._convert, work, backlog)
            writing: Future[None] | None = None
            try:
                warm_up(work.stages.embedder)
                taken = time.monotonic()
                while not work.stop.is_set():
                    is_urgent = time.monotonic() - taken > _PATIENCE_SECONDS
                    batch = backlog.take(_LOOK_SECONDS, whole=not is_urgent)
                    if batch is None:
                        break
                    if not batch:
                        continue
                    taken = time.monotonic()
                    embedded = with_embeddings(work.stages.embedder, work.writer.settle(batch), work.progress)
                    work.progress.writing(len(batch))
                    if writing is not None:
                        writing.result()
                    writing = threads.submit(work.writer.write, embedded)
            finally:
                backlog.cancel()
            if writing is not None:
                writing.result()
            converting.result()

    def close(self) -> None:
        """See `Executor.close`."""
        if self._worker is not None:
            self._worker.kill()
            self._worker = None

    def _convert(self, work: Work, backlog: Backlog) -> None:
        stage, processes = work.stages.converting, work.settings.processes

        def deliver(task: Task, conversion: Conversion) -> None:
            work.progress.converted(task.source)
            backlog.put(task, conversion)

        try:
            if processes == 0:
                convert_here(stage, work.rules, work.tasks, deliver)
            else:
                pool = WorkerPool(stage.to_dict(), work.rules, processes, self._worker, work.progress.converting)
                self._worker = None
                with closing(pool):
                    pool.run(work.tasks, deliver, lambda: backlog.is_cancelled)
        except CancelledError:
            return
        finally:
            backlog.end()


def with_embeddings(embedder: Any, batch: list[Item], progress: Progress) -> list[Item]:
    """Embed the passages of documents together.

    :param embedder: A component that embeds documents, warmed up; None for a pipeline without one.
    :param batch: Documents with what became of them.
    :param progress: Told of it.
    :returns: The same, with passages that are embedded.
    """
    passages = [passage for _, conversion in batch for passage in conversion.passages]
    progress.embedding([(task.source, len(conversion.passages)) for task, conversion in batch])
    embedded = iter(embed(embedder, passages, progress.embedded) if passages else [])
    return [
        (task, replace(conversion, passages=list(islice(embedded, len(conversion.passages)))))
        for task, conversion in batch
    ]
