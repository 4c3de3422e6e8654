"""How a job runs: what does not change what comes out of it."""

import os
from dataclasses import dataclass, field

from lodestone.components.errors import ConfigurationError
from lodestone.indexing.limits import Limits


@dataclass(frozen=True)
class Settings:
    """How a job runs.

    :param workers: Processes that convert documents; None for one for every two CPUs; 0 converts in the job's own
        process, where a document that crashes or hangs its converter takes the job with it.
    :param batch_passages: Passages that are embedded together and written in one transaction.
    :param batch_files: The most documents of one transaction.
    :param archives: Whether archives are looked into.
    :param limits: What one document may cost.
    :raises ConfigurationError: If a number is out of its range.
    """

    workers: int | None = None
    batch_passages: int = 1024
    batch_files: int = 1024
    archives: bool = True
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 0:
            raise ConfigurationError(f"workers must be at least 0, got {self.workers}")
        for name in ("batch_passages", "batch_files"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} must be at least 1, got {getattr(self, name)}")

    @property
    def processes(self) -> int:
        """How many worker processes there are to be."""
        return max(1, _cpus() // 2) if self.workers is None else self.workers


def _cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
