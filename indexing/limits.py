"""What one document may cost before it is given up."""

import math
from dataclasses import dataclass

from lodestone.components.errors import ConfigurationError


@dataclass(frozen=True)
class Limits:
    """What one document may cost before it is given up; the job goes on with the others.

    :param megabytes: Size of the file, in MiB.
    :param seconds: Time that converting it may take.
    :param memory: Memory that converting it may take, in MiB, beyond what the process needs by itself.
    :param pages: Pages that it may have; None for any number.
    :param archive_files: Files and folders that an archive may hold, hidden ones among them.
    :param archive_megabytes: What they may come to, in MiB.
    :param archive_ratio: How many times the archive's size that may be, where it is more than a little.
    :raises ConfigurationError: If a limit is not above 0, or infinite.
    """

    megabytes: float = 64
    seconds: float = 120
    memory: int = 2048
    pages: int | None = None
    archive_files: int = 10_000
    archive_megabytes: int = 4096
    archive_ratio: float = 200

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not 0 < value < math.inf:
                raise ConfigurationError(f"the limit {name} must be a number above 0, got {value!r}")
