"""The work of a job on the machines of a Ray cluster."""

import importlib.util
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from lodestone.components.errors import ConfigurationError
from lodestone.components.stores import FaissDocumentStore
from lodestone.indexing.backlog import Backlog, CancelledError
from lodestone.indexing.executors.executor import Work
from lodestone.indexing.executors.ray_cluster import Shares, connected, shares
from lodestone.indexing.executors.ray_conversion import conversions
from lodestone.indexing.executors.ray_embedder import Answer, RayEmbedder, described
from lodestone.indexing.executors.ray_embedders import RayEmbedders

_LOOK_SECONDS = 0.2
# A batch that is not whole is not held back for longer.
_PATIENCE_SECONDS = 30.0
# What a stopped job still waits for.
_LAST_SECONDS = 30.0


class RayExecutor:
    """Ray's tasks convert, actors embed, on all machines of a cluster.

    Into a FAISS folder this process writes; into Elasticsearch the actors do. What a lost machine was doing goes to
    others. What is unchanged is found out before, here, and what is done is in the ledger, as with a `LocalExecutor`.

    Every machine must have Lodestone installed, and see the documents under the same paths.

    :param address: Of the cluster; None for that of the environment variable RAY_ADDRESS, or else for one of this
        machine's own, for the time of the job.
    :raises ConfigurationError: If Ray is not installed.
    """

    is_local = False

    def __init__(self, address: str | None = None) -> None:
        if importlib.util.find_spec("ray") is None:
            raise ConfigurationError("the executor ray needs Ray: pip install 'lodestone[ray]'")
        self._address = address
        # A job runs several times, first for what is new: starting Ray anew each time would take longer than the work.
        self._connection = ExitStack()
        self._ray: Any = None

    def run(self, work: Work) -> None:
        """See `Executor.run`: one thread takes what is converted, one writes, the caller's minds the actors.

        :param work: What is to be done.
        :raises ConfigurationError: If no cluster can be reached, or `workers` is 0.
        :raises LodestoneError: If something is wrong with all machines.
        """
        if work.settings.workers == 0:
            raise ConfigurationError("workers must be at least 1 with the executor ray, got 0")
        writes = not isinstance(work.stages.document_store, FaissDocumentStore)
        ray = self._ray if self._ray is not None else self._connection.enter_context(connected(self._address))
        self._ray = ray
        nodes = [
            (node["NodeID"], node["Resources"].get("CPU", 0.0), int(node["Resources"].get("GPU", 0)))
            for node in ray.nodes()
            if node["Alive"]
        ]
        parts = shares(nodes, work.settings.workers, work.stages.embedder is not None)
        backlog = Backlog(work.settings.batch_passages, work.settings.batch_files)
        embedders = RayEmbedders(_starter(ray, work, parts, writes), parts.embedders)
        with ThreadPoolExecutor(1) as thread:
            converting = thread.submit(_convert, work, parts, backlog)
            try:
                _embed(work, backlog, embedders)
            finally:
                backlog.cancel()
                embedders.close()
            converting.result()

    def close(self) -> None:
        """See `Executor.close`."""
        self._ray = None
        self._connection.close()


def _convert(work: Work, parts: Shares, backlog: Backlog) -> None:
    try:
        for task, conversion in conversions(work, parts, lambda: backlog.is_cancelled):
            work.progress.converted(task.source)
            backlog.put(task, conversion)
    except CancelledError:
        return
    finally:
        backlog.end()


def _starter(ray: Any, work: Work, parts: Shares, writes: bool) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    description = described(work.stages, writes)
    actor = ray.remote(RayEmbedder)

    def start(number: int) -> Any:
        strategy: Any = "SPREAD"
        if parts.nodes:
            strategy = NodeAffinitySchedulingStrategy(parts.nodes[number % len(parts.nodes)], soft=True)
        return actor.options(
            num_cpus=parts.embedder_cpus,
            num_gpus=parts.embedder_gpus,
            max_concurrency=2,
            max_restarts=0,
            scheduling_strategy=strategy,
        ).remote(description, work.stages.fingerprint)

    return start


def _embed(work: Work, backlog: Backlog, embedders: RayEmbedders) -> None:
    """Give batches to actors, and write or account for what they answer."""
    with ThreadPoolExecutor(1) as thread:
        writing: Future[None] | None = None
        taken = time.monotonic()
        is_over = False
        stopped_at: float | None = None
        while not is_over or embedders.is_busy:
            if work.stop.is_set():
                stopped_at = time.monotonic() if stopped_at is None else stopped_at
                is_over = True
                embedders.drop_waiting()
                if time.monotonic() - stopped_at > _LAST_SECONDS:
                    break
            if not is_over and embedders.has_room:
                batch = backlog.take(_LOOK_SECONDS, whole=time.monotonic() - taken <= _PATIENCE_SECONDS)
                is_over = batch is None
                if batch:
                    taken = time.monotonic()
                    embedders.give(work.writer.settle(batch))
            wait = 0.0 if embedders.has_room and not is_over else _LOOK_SECONDS
            for answer in embedders.take(wait):
                _tell(work, answer)
                if writing is not None:
                    writing.result()
                writing = thread.submit(_write, work, answer)
        if writing is not None:
            writing.result()


def _tell(work: Work, answer: Answer) -> None:
    batch, records = answer
    of_batch = [len(conversion.passages) for _, conversion in batch]
    work.progress.embedded(sum(of_batch if records is None else [record.passages for record in records]))
    work.progress.writing(len(batch))


def _write(work: Work, answer: Answer) -> None:
    batch, records = answer
    if records is None:
        work.writer.write(batch)
    else:
        work.writer.account(batch, records)
