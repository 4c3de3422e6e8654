"""Where the work of a job is done: on this machine, or on many."""

from lodestone.indexing.executors.executor import Executor, Work
from lodestone.indexing.executors.local_executor import LocalExecutor
from lodestone.indexing.executors.ray_executor import RayExecutor

__all__ = ["Executor", "LocalExecutor", "RayExecutor", "Work"]
