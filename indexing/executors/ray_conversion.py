"""Converting documents on the machines of a Ray cluster, as tasks of Ray Data."""

import pickle
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from lodestone.components.errors import LodestoneError
from lodestone.indexing.backlog import Item
from lodestone.indexing.contents import LocalFile, TarMember, ZipMember
from lodestone.indexing.conversion import Conversion, Rules, Task
from lodestone.indexing.converting import WorkerPool
from lodestone.indexing.executors.executor import Work
from lodestone.indexing.executors.ray_cluster import Shares

if TYPE_CHECKING:
    import pyarrow

# So many documents, or so many bytes of them, are converted by one task: what a lost machine costs.
_CHUNK_FILES = 32
_CHUNK_BYTES = 8 * 2**20
# So many chunks, or so many bytes of descriptions, are handed to Ray at once, which keeps them until they are done:
# the rows of a table are described by their texts.
_WAVE_CHUNKS = 2048
_WAVE_BYTES = 256 * 2**20

_pools: dict[str, WorkerPool] = {}


def conversions(work: Work, shares: Shares, job: str) -> Iterator[Item]:
    """Convert the documents of a job.

    :param work: The job.
    :param shares: How much may be done at the same time.
    :param job: What tells the job from others that the cluster has done.
    :returns: Documents with what became of them, as they are finished; held back while nobody takes them.
    :raises LodestoneError: If none can be converted.
    """
    import ray

    given = {"job": job, "description": work.stages.converting.to_dict(), "rules": work.rules}
    for wave in _waves(_chunks(work.tasks)):
        rows = [{"tasks": chunk} for chunk in wave]
        converted = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            convert_chunk,
            batch_size=None,
            batch_format="pyarrow",
            fn_kwargs=given,
            num_cpus=shares.converter_cpus,
            concurrency=shares.converters,
        )
        for table in converted.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1):
            for message in table.column("items").to_pylist():
                items = pickle.loads(message)
                if isinstance(items, LodestoneError):
                    raise items
                yield from items


def convert_chunk(table: "pyarrow.Table", job: str, description: dict[str, Any], rules: Rules) -> "pyarrow.Table":
    """Convert some documents, in a task of Ray: see `conversions`.

    A worker process converts, as on the job's own machine, so that a document which crashes, hangs or exhausts its
    converter does no harm to the task; it stays for the next task.

    :param table: Its column "tasks" holds pickled lists of tasks.
    :param job: What tells the job from others.
    :param description: Of the pipeline.
    :param rules: How documents are converted, besides.
    :returns: A table whose column "items" holds pickled lists of documents with what became of them, or an error.
    """
    import pyarrow

    for other in [name for name in _pools if name != job]:
        _pools.pop(other).close()
    pool = _pools.setdefault(job, WorkerPool(description, rules, 1))
    messages = []
    for message in table.column("tasks").to_pylist():
        items: list[Item] = []
        try:
            pool.run(pickle.loads(message), _deliver_to(items), lambda: False)
            messages.append(pickle.dumps(items))
        except LodestoneError as error:
            messages.append(pickle.dumps(error))
    return pyarrow.table({"items": pyarrow.array(messages, pyarrow.large_binary())})


def _deliver_to(items: list[Item]) -> Callable[[Task, Conversion], None]:
    def deliver(task: Task, conversion: Conversion) -> None:
        on_disk = isinstance(task.source.content, LocalFile | ZipMember | TarMember)
        if conversion.state == "unreadable" and on_disk and conversion.reason.startswith("cannot be read"):
            where = f"on {socket.gethostname()}; every machine of the cluster must see the files under the same paths"
            conversion = replace(conversion, reason=f"{conversion.reason} ({where})")
        items.append((task, conversion))

    return deliver


def _chunks(tasks: Iterable[Task]) -> Iterator[bytes]:
    chunk: list[Task] = []
    size = 0
    for task in tasks:
        if chunk and (len(chunk) == _CHUNK_FILES or size + task.source.size > _CHUNK_BYTES):
            yield pickle.dumps(chunk)
            chunk, size = [], 0
        chunk.append(task)
        size += task.source.size
    if chunk:
        yield pickle.dumps(chunk)


def _waves(chunks: Iterator[bytes]) -> Iterator[list[bytes]]:
    while True:
        wave: list[bytes] = []
        size = 0
        for chunk in islice(chunks, _WAVE_CHUNKS):
            wave.append(chunk)
            size += len(chunk)
            if size >= _WAVE_BYTES:
                break
        if not wave:
            return
        yield wave
