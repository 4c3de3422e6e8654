"""How passages are read: what may differ from call to call."""

from dataclasses import dataclass, replace
from typing import Any

from lodestone.components.errors import ConfigurationError

_AT_LEAST = {
    "top_k": 1,
    "max_seq_length": 1,
    "stride": 0,
    "max_query_length": 1,
    "max_answer_length": 1,
    "max_batch_size": 1,
    "answers_per_seq": 1,
    "context_chars": 0,
}
_MAY_BE_NONE = {"max_batch_size", "answers_per_seq"}


@dataclass(frozen=True)
class ReadSettings:
    """The parameters of `ExtractiveReader` that say how to read, as documented there.

    :raises ConfigurationError: If a value is out of range.
    """

    top_k: int
    score_threshold: float | None
    max_seq_length: int
    stride: int
    max_query_length: int
    max_answer_length: int
    max_batch_size: int | None
    answers_per_seq: int | None
    no_answer: bool
    overlap_threshold: float | None
    context_chars: int

    def __post_init__(self) -> None:
        for name, lowest in _AT_LEAST.items():
            value = getattr(self, name)
            if value is None and name in _MAY_BE_NONE:
                continue
            if not isinstance(value, int) or isinstance(value, bool):
                raise ConfigurationError(f"{name} must be a whole number, got {value!r}")
            if value < lowest:
                raise ConfigurationError(f"{name} must be at least {lowest}, got {value}")

    def given(self, **values: Any) -> "ReadSettings":
        """These settings with the values that are not None."""
        changed = {name: value for name, value in values.items() if value is not None}
        return replace(self, **changed) if changed else self
