"""What one document may cost before it is given up."""

from dataclasses import dataclass

from lodestone.components.errors import ConfigurationError


@dataclass(frozen=True)
class Limits:
    """What one document may cost before it is given up; the job goes on with the others.

    :param megabytes: Size of the file, in MiB.
    :param seconds: Time that converting it may take.
    :param memory: Memory that converting it may take, in MiB, beyond what the process needs by itself.
    :param pages: Pages that it may have; None for any number.
    :raises ConfigurationError: If a limit is not above 0.
    """

    megabytes: float = 64
    seconds: float = 120
    memory: int = 2048
    pages: int | None = None

    def __post_init__(self) -> None:
        for name in ("megabytes", "seconds", "memory", "pages"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigurationError(f"the limit {name} must be above 0, got {value!r}")
