"""Converting documents on the machines of a Ray cluster."""

import socket
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from lodestone.components.errors import LodestoneError
from lodestone.indexing.backlog import Item
from lodestone.indexing.contents import LocalFile, TarMember, ZipMember
from lodestone.indexing.conversion import Conversion, Rules, Task
from lodestone.indexing.converting import WorkerPool
from lodestone.indexing.executors.executor import Work
from lodestone.indexing.executors.ray_cluster import Shares, last_line

# So many documents, or so many bytes of them, are converted by one task: what a lost machine costs.
_CHUNK_FILES = 32
_CHUNK_BYTES = 8 * 2**20
# One is converted while the next is sent.
_CHUNKS_AHEAD = 2
_LOOK_SECONDS = 0.2

_pools: dict[str, WorkerPool] = {}


def conversions(work: Work, shares: Shares, stopped: Callable[[], bool]) -> Iterator[Item]:
    """Convert the documents of a job.

    No more tasks are given to the cluster than it can begin soon, so that what nobody has taken yet is little, however
    large the job is. A task whose machine is lost is run again by Ray.

    :param work: The job.
    :param shares: How much may be done at the same time.
    :param stopped: Asked now and then whether to leave the rest.
    :returns: Documents with what became of them, as they are finished.
    :raises LodestoneError: If none can be converted.
    """
    import ray

    options = {"num_cpus": shares.converter_cpus, "max_retries": -1, "scheduling_strategy": "SPREAD"}
    task = ray.remote(convert_chunk).options(**options)
    # Once for the job, not with every task.
    given = ray.put((uuid.uuid4().hex, work.stages.converting.to_dict(), work.rules))
    chunks = _chunks(work.tasks)
    running: list[Any] = []
    try:
        while not stopped():
            wanted = shares.converters * _CHUNKS_AHEAD - len(running)
            running += [task.remote(chunk, given) for chunk in islice(chunks, wanted)]
            if not running:
                return
            done, running = ray.wait(running, num_returns=1, timeout=_LOOK_SECONDS)
            for reference in done:
                yield from _answer(reference)
    finally:
        for reference in running:
            ray.cancel(reference, force=True)


def convert_chunk(tasks: list[Task], given: tuple[str, dict[str, Any], Rules]) -> list[Item] | LodestoneError:
    """Convert some documents, in a task of Ray: see `conversions`.

    A worker process converts, as on the job's own machine, so that a document which crashes, hangs or exhausts its
    converter does no harm to the task; it stays for the next task.

    :param tasks: The documents.
    :param given: What tells the job from others, the description of its pipeline, and its rules.
    :returns: The documents with what became of them; or why none can be converted, which trying again would not change.
    """
    job, description, rules = given
    for other in [name for name in _pools if name != job]:
        _pools.pop(other).close()
    if job not in _pools:
        _pools[job] = WorkerPool(description, rules, 1)
    items: list[Item] = []
    try:
        _pools[job].run(tasks, _deliver_to(items), lambda: False)
    except LodestoneError as error:
        _pools.pop(job).close()
        return error
    return items


def _answer(reference: Any) -> list[Item]:
    import ray
    from ray.exceptions import RayError

    try:
        answer: list[Item] | LodestoneError = ray.get(reference)
    except RayError as error:
        raise LodestoneError(f"the cluster could not convert documents: {last_line(error)}") from error
    if isinstance(answer, LodestoneError):
        raise answer
    return answer


def _deliver_to(items: list[Item]) -> Callable[[Task, Conversion], None]:
    def deliver(task: Task, conversion: Conversion) -> None:
        on_disk = isinstance(task.source.content, LocalFile | ZipMember | TarMember)
        if conversion.state == "unreadable" and on_disk and conversion.reason.startswith("cannot be read"):
            where = f"on {socket.gethostname()}; every machine of the cluster must see the files under the same paths"
            conversion = replace(conversion, reason=f"{conversion.reason} ({where})")
        items.append((task, conversion))

    return deliver


def _chunks(tasks: Iterable[Task]) -> Iterator[list[Task]]:
    chunk: list[Task] = []
    size = 0
    for task in tasks:
        if chunk and (len(chunk) == _CHUNK_FILES or size + task.source.size > _CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(task)
        size += task.source.size
    if chunk:
        yield chunk
