"""Labelled questions read in their passages, for a calibration."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from haystack import Document

from lodestone.components.passages import searchable_text
from lodestone.components.readers import ExtractiveReader
from lodestone.components.readers.evidence import EXACT, WHICH, Evidence
from lodestone.evaluation.calibration import Labelled, label
from lodestone.evaluation.fingerprint import fingerprint, hash_reader
from lodestone.evaluation.partial import Entry, Partial, Progress, run_all


class Asked(Protocol):
    """A question whose accepted answers are known."""

    @property
    def text(self) -> str:
        """The question."""

    @property
    def accepted(self) -> tuple[str, ...]:
        """The accepted answers; empty where it has none."""


@dataclass(frozen=True)
class _Reading:
    id: str
    asked: Asked
    passages: list[Document]


def read_labelled(
    reader: ExtractiveReader,
    questions: Sequence[Asked],
    passages: Sequence[list[Document]],
    *,
    partial: Path | None = None,
    progress: Progress | None = None,
) -> list[Labelled]:
    """Read the questions in their passages and judge the answers.

    :param reader: The reader.
    :param questions: The questions.
    :param passages: For each question its passages, in the order of their retrieval.
    :param partial: Where read questions are kept until all are, to go on from; None for nowhere.
    :param progress: Told how many questions are read, and of how many; None for nobody.
    """
    # Files may use the same ids.
    readings = [
        _Reading(str(number), asked, listed)
        for number, (asked, listed) in enumerate(zip(questions, passages, strict=True))
    ]
    read = [(each.asked.text, [searchable_text(passage) for passage in each.passages]) for each in readings]
    kept = Partial(partial, fingerprint(hash_reader(reader), reader.used_precision, read) if partial else "")

    def answer(batch: Sequence[_Reading]) -> list[Entry]:
        found = reader.gather_evidence([each.asked.text for each in batch], [each.passages for each in batch])
        return [{"id": each.id, **_kept(evidence)} for each, evidence in zip(batch, found, strict=True)]

    entries = run_all(readings, answer, kept, progress)
    return [label(_evidence(entry), question.accepted) for entry, question in zip(entries, questions, strict=True)]


def _kept(evidence: Evidence) -> Entry:
    features = {part: getattr(evidence, part).tolist() for part in ("found", "which", "exact")}
    return {"texts": list(evidence.texts), **features}


def _evidence(entry: Entry) -> Evidence:
    return Evidence(
        tuple(entry["texts"]),
        np.array(entry["found"], dtype=np.float64),
        np.array(entry["which"], dtype=np.float64).reshape(-1, len(WHICH)),
        np.array(entry["exact"], dtype=np.float64).reshape(-1, len(EXACT)),
    )
