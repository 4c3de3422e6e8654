"""Executors by name."""

from lodestone.components.errors import ConfigurationError
from lodestone.indexing.executors.executor import Executor
from lodestone.indexing.executors.local_executor import LocalExecutor
from lodestone.indexing.executors.ray_executor import RayExecutor
from lodestone.indexing.worker_process import WorkerProcess

EXECUTORS = ("local", "ray")


def make_executor(name: str, address: str | None = None, worker: WorkerProcess | None = None) -> Executor:
    """Make the executor of a name.

    :param name: "local" or "ray".
    :param address: Of the Ray cluster; None for none in particular.
    :param worker: A worker process that was started ahead; None for none. An executor that has no use for it ends it.
    :returns: The executor.
    :raises ConfigurationError: If there is none of that name, or it has no use for an address.
    """
    if name == "local" and address is None:
        return LocalExecutor(worker)
    if worker is not None:
        worker.kill()
    if name == "ray":
        return RayExecutor(address)
    if name == "local":
        raise ConfigurationError(f"an address, {address!r}, is for the executor ray, and the executor is local")
    raise ConfigurationError(f"executor must be one of {', '.join(EXECUTORS)}, got {name!r}")
