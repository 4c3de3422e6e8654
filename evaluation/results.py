"""The result of an evaluation as a file: what was measured, on what, with what, and every question."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lodestone.components.errors import ConfigurationError
from lodestone.evaluation.judging import Judgement
from lodestone.evaluation.partial import Entry
from lodestone.evaluation.records import Record

RANKINGS = "retrieval"
_KINDS = ("squad", "qa", RANKINGS)
_FORMAT = 1


@dataclass(frozen=True)
class Result:
    """What came out of an evaluation.

    :param kind: `squad`, `qa` or `retrieval`.
    :param data: What it was measured on: `file` (its name), `sha256` and `questions`.
    :param settings: Model, pipeline and parameters.
    :param metrics: As in `Judgement`.
    :param intervals: As in `Judgement`.
    :param questions: For each question what was answered, and under `measures` what it adds to the figures.
    """

    kind: str
    data: dict[str, Any]
    settings: dict[str, Any]
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    questions: list[Entry] = field(default_factory=list)

    @classmethod
    def of(
        cls, kind: str, data: dict[str, Any], settings: dict[str, Any], judged: Judgement, entries: Sequence[Entry]
    ) -> "Result":
        """A result of judged entries, which are in the order of the judgement's measures."""
        questions = [{**entry, "measures": each} for entry, each in zip(entries, judged.measures, strict=True)]
        return cls(kind, data, settings, judged.metrics, judged.intervals, questions)

    def save(self, path: Path) -> None:
        """Write it as JSON; what was there before stays until all is written."""
        partial = path.with_name(f"{path.name}.new")
        text = json.dumps({"format": _FORMAT, **asdict(self)}, ensure_ascii=False, indent=1)
        partial.write_text(text + "\n", encoding="utf-8")
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Result":
        """Read a result.

        :param path: A file that `save` wrote.
        :raises ConfigurationError: If it is missing or is no result.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data.pop("format") != _FORMAT:
                raise ValueError("unknown format")
            data["intervals"] = {name: tuple(ends) for name, ends in data["intervals"].items()}
            result = cls(**data)
            _check(result)
        except FileNotFoundError as error:
            raise ConfigurationError(f"{path} does not exist") from error
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OSError) as error:
            raise ConfigurationError(
                f"{path} is no result of an evaluation; write one with `lodestone evaluate squad DATA --output FILE`"
            ) from error
        return result


def _check(result: Result) -> None:
    """Refuse with a ValueError, a TypeError or a KeyError what no evaluation writes."""
    if result.kind not in _KINDS or not result.questions:
        raise ValueError("it needs a kind and questions")
    ids = set()
    for question in result.questions:
        identifier, measures = question["id"], question["measures"]
        if not isinstance(identifier, str) or identifier in ids:
            raise ValueError("every question needs an id of its own")
        if not isinstance(question["question"], str):
            raise ValueError("questions are text")
        ids.add(identifier)
        if not all(isinstance(value, int | float) and math.isfinite(value) for value in measures.values()):
            raise ValueError("measures are finite numbers")
        if result.kind != RANKINGS:
            Record.from_dict(question).check()
            measures["right"] += 0.0
    if result.kind != RANKINGS:
        result.settings["no_answer_threshold"] += 0.0
