"""Where the work of a job is done: on this machine."""

from lodestone.indexing.executors.executor import Executor, Work
from lodestone.indexing.executors.local_executor import LocalExecutor

__all__ = ["Executor", "LocalExecutor", "Work"]
