"""Converting many documents in worker processes, none of which a document can make the job's own problem."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import wait
from typing import Any

from lodestone.components.errors import LodestoneError
from lodestone.indexing.conversion import Conversion, OutOfMemoryError, Rules, Task, convert
from lodestone.indexing.worker import OUT_OF_MEMORY
from lodestone.indexing.worker_process import WorkerProcess, takes_too_long, why_it_died
from lodestone.pipelines.stages import ConvertingStage

Deliver = Callable[[Task, Conversion], None]
TellLongest = Callable[[str, float], None]

# Less than this is not worth a second worker's start.
_FILES_A_WORKER = 64
_BYTES_A_WORKER = 16 * 2**20
_LOOK_SECONDS = 0.2


def convert_here(stage: ConvertingStage, rules: Rules, tasks: Iterable[Task], deliver: Deliver) -> None:
    """Convert documents in this process, where nothing limits time and memory.

    :param stage: The pipeline.
    :param rules: How, besides.
    :param tasks: The documents.
    :param deliver: Called with each document and what became of it.
    """
    for task in tasks:
        try:
            conversion = convert(task, stage, rules)
        except OutOfMemoryError:
            conversion = Conversion("failed", why_it_died(OUT_OF_MEMORY, rules.limits))
        deliver(task, conversion)


class WorkerPool:
    """Worker processes and the documents that they have not been given yet.

    :param description: Of the pipeline: `ConvertingStage.to_dict`.
    :param rules: How, besides.
    :param processes: How many workers at most, at least 1.
    :param first: A worker that was started ahead, if any; it belongs to the pool from now on.
    :param tell: Told now and then which document has been converted longest, and for how many seconds.
    """

    def __init__(
        self,
        description: dict[str, Any],
        rules: Rules,
        processes: int,
        first: WorkerProcess | None = None,
        tell: TellLongest = lambda path, seconds: None,
    ) -> None:
        self._description = description
        self._rules = rules
        self._limits = rules.limits
        self._processes = processes
        self._spare = first
        self._tell = tell
        self._workers: list[WorkerProcess] = []
        self._source: Iterator[Task] = iter(())
        self._waiting: deque[Task] = deque()
        self._files = self._bytes = 0
        self._second_tries: set[tuple[str, str]] = set()

    def run(self, tasks: Iterable[Task], deliver: Deliver, stopped: Callable[[], bool]) -> None:
        """Convert documents; the workers stay for the next ones.

        :param tasks: The documents.
        :param deliver: Called with each document and what became of it, in no particular order; may block.
        :param stopped: Asked now and then whether to leave the rest.
        :raises LodestoneError: If workers cannot be started.
        """
        self._source = iter(tasks)
        while not stopped():
            self._feed()
            if not any(worker.tasks for worker in self._workers):
                break
            self._collect(deliver)
            self._tell_of_longest()

    def close(self) -> None:
        """End the workers, whatever they are doing."""
        for worker in [*self._workers, *([self._spare] if self._spare is not None else [])]:
            worker.kill()
        self._workers, self._spare = [], None

    def _tell_of_longest(self) -> None:
        busy = [longest for worker in self._workers if (longest := worker.busy_with) is not None]
        if busy:
            self._tell(*max(busy, key=lambda entry: entry[1]))

    def _feed(self) -> None:
        while (task := self._next()) is not None:
            worker = self._worker_with_room()
            if worker is None or not worker.give(task):
                self._waiting.appendleft(task)
                return

    def _next(self) -> Task | None:
        if self._waiting:
            return self._waiting.popleft()
        task = next(self._source, None)
        if task is not None:
            self._files += 1
            self._bytes += task.source.size
        return task

    def _worker_with_room(self) -> WorkerProcess | None:
        worth = 1 + max(self._files // _FILES_A_WORKER, self._bytes // _BYTES_A_WORKER)
        if len(self._workers) < min(self._processes, worth):
            worker = WorkerProcess() if self._spare is None else self._spare
            self._spare = None
            self._workers.append(worker)
            worker.set_up(self._description, self._rules)
            return worker
        free = [worker for worker in self._workers if worker.has_room]
        return min(free, key=lambda worker: len(worker.tasks)) if free else None

    def _collect(self, deliver: Deliver) -> None:
        by_connection = {worker.connection: worker for worker in self._workers}
        for connection in wait(list(by_connection), timeout=_LOOK_SECONDS):
            worker = by_connection[connection]  # type: ignore[index]
            try:
                answer = worker.take()
            except EOFError:
                self._died(worker, deliver)
                continue
            if answer is not None:
                deliver(*answer)
        for worker in [worker for worker in self._workers if worker.is_late(self._limits.seconds)]:
            worker.kill()
            self._workers.remove(worker)
            task = worker.tasks.popleft()
            self._waiting.extendleft(reversed(worker.tasks))
            deliver(task, Conversion("failed", takes_too_long(self._limits), seconds=self._limits.seconds))

    def _died(self, worker: WorkerProcess, deliver: Deliver) -> None:
        """Take back what a dead worker had; the document that it worked on gets one try in a new one."""
        status = worker.bury()
        self._workers.remove(worker)
        if not worker.is_ready:
            raise LodestoneError(
                f"a worker process could not be started ({worker.last_words()}); convert in this process with workers 0"
            )
        retired = status == 0 and worker.answered > 0
        if worker.tasks and not retired:
            task = worker.tasks.popleft()
            # What it left of earlier documents may have been the cause.
            if worker.answered and task.key not in self._second_tries:
                self._second_tries.add(task.key)
                worker.tasks.appendleft(task)
            else:
                deliver(task, Conversion("failed", why_it_died(status, self._limits)))
        self._waiting.extendleft(reversed(worker.tasks))
