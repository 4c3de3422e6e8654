"""Making a calibration from labelled questions, and measuring on held-out ones what it gains."""

import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from haystack import Document, default_from_dict

from lodestone.components.engines import READER
from lodestone.components.engines.cache import find_entry
from lodestone.components.engines.openvino_engine import best_precision, entry_kind
from lodestone.components.errors import ConfigurationError
from lodestone.components.models import resolve_model
from lodestone.components.readers import ExtractiveReader
from lodestone.components.readers.calibration import Calibration, hash_weights
from lodestone.components.readers.evidence import Float64Array
from lodestone.components.stores import FaissDocumentStore
from lodestone.evaluation.calibration import Labelled, adapt_calibration, fit_calibration, top_answers
from lodestone.evaluation.calibration_metrics import (
    brier_score,
    error_of_perfect,
    expected_calibration_error,
    log_loss,
)
from lodestone.evaluation.labelling import Asked, read_labelled
from lodestone.evaluation.partial import Progress

FOLDS = 5
LEAST_QUESTIONS = 50


@dataclass(frozen=True)
class Stated:
    """Each question's top answer on held-out folds.

    :param p: Its stated probability, float64, shape (questions,).
    :param right: Whether it is right to the word, 1.0 or 0.0, the same shape.
    :param weights: What each question counts, 1.0 on average; None for 1 each.
    """

    p: Float64Array
    right: Float64Array
    weights: Sequence[float] | None = None

    def figures(self) -> dict[str, float]:
        """ECE (15 bins of equally many), what it would be by chance were they perfect, Brier score and log loss."""
        figures = {
            "ece": expected_calibration_error(self.p, self.right, weights=self.weights),
            "ece_of_perfect": error_of_perfect(self.p, weights=self.weights)[0],
            "brier": brier_score(self.p, self.right, self.weights),
            "log_loss": log_loss(self.p, self.right, self.weights),
        }
        return {name: round(value, 4) for name, value in figures.items()}

    def of(self, questions: slice) -> "Stated":
        """Some of the questions, each counting 1."""
        return Stated(self.p[questions], self.right[questions])


def held_out(
    questions: Sequence[Labelled],
    judged: Sequence[Labelled],
    start: Calibration | None,
    weights: Sequence[float] | None = None,
) -> Stated:
    """What fits that have not seen a question say of its top answer.

    :param questions: What is fitted on.
    :param judged: The same questions, perhaps read in another precision.
    :param start: The calibration that is adapted; None for a fit from nothing.
    :param weights: What each question counts; None for 1 each.
    """
    places = list(range(len(questions)))
    random.Random(0).shuffle(places)
    p, right = np.zeros(len(questions)), np.zeros(len(questions))
    for fold in range(FOLDS):
        held = places[fold::FOLDS]
        rest = [place for number, place in enumerate(places) if number % FOLDS != fold]
        counts = None if weights is None else [weights[place] for place in rest]
        fitted = _fitted([questions[place] for place in rest], counts, start)
        p[held], right[held], _ = top_answers(fitted, [judged[place] for place in held])
    return Stated(p, right, weights)


def _fitted(questions: Sequence[Labelled], weights: Sequence[float] | None, start: Calibration | None) -> Calibration:
    if start is None:
        return fit_calibration(questions, weights=weights)
    return adapt_calibration(start, questions, weights=weights)


def precisions_of(reader: ExtractiveReader) -> list[str]:
    """The precisions that this machine can run a reader in, the one that it takes unasked first."""
    folder = resolve_model(reader.model)
    floats = dict.fromkeys([best_precision(), "float32"])
    quantized = find_entry(folder, entry_kind(READER, "int8"))
    if quantized is None:
        return list(floats)
    return ["int8", *floats] if quantized[1].get("good") else [*floats, "int8"]


def calibrate(
    reader: ExtractiveReader,
    questions: Sequence[Asked],
    passages: Sequence[list[Document]],
    *,
    fresh: bool = False,
    sizes: Sequence[int] | None = None,
    about: Mapping[str, Any] | None = None,
    partial: Path | None = None,
    progress: Progress | None = None,
) -> Calibration:
    """Fit a reader's calibration to labelled questions over retrieved passages.

    :param reader: The reader; the calibration that it has is adapted.
    :param questions: The questions, at least 50, some of them with the right answer among their passages.
    :param passages: For each question its passages, in the order of their retrieval.
    :param fresh: Whether to fit from nothing instead.
    :param sizes: How many of the questions, in their order, are of each file; files count as much as each other. None
        for one file.
    :param about: What to record beside what was measured, such as the data's name and hash.
    :param partial: A folder where read questions are kept, to go on from; None for nowhere.
    :param progress: Told how many questions are read, and of how many, over all precisions; None for nobody.
    :returns: The calibration, with figures on held-out folds in every precision that this machine has.
    :raises ConfigurationError: If there are too few questions, or only one kind of them.
    """
    check_questions(questions)
    start = None if fresh else _not_seen(reader.fitted_calibration, about or {})
    sizes = [len(questions)] if sizes is None else sizes
    weights = [len(questions) / len(sizes) / size for size in sizes for _ in range(size)] if len(sizes) > 1 else None
    readings = _read_in_precisions(reader, questions, passages, partial, progress)
    fitted_in, labelled = next(iter(readings.items()))
    try:
        fitted = _fitted(labelled, weights, start)
        figures = {}
        for precision, read in readings.items():
            before = None if start is None else Stated(*top_answers(start, read)[:2], weights)
            figures[precision] = _figures(before, held_out(labelled, read, start, weights), sizes)
    except ValueError as error:
        raise ConfigurationError(f"{error}; add questions of the other kind") from error
    record = {
        **(about or {}),
        "questions": len(questions),
        "unanswerable": sum(not question.accepted for question in questions),
        "found_in_passages": sum(question.place is not None for question in labelled),
        "passages_per_question": round(float(np.mean([len(listed) for listed in passages])), 2),
        "right": "exact match after SQuAD's normalisation",
        "precision": fitted_in,
        "started_from": None if start is None else dict(start.fitted_on),
        "adapted_from": None if start is None else dict(start.adapted),
        "folds": FOLDS,
        "held_out": figures,
    }
    return replace(fitted, weights_sha256=hash_weights(resolve_model(reader.model)), fitted_on=record)


def check_questions(questions: Sequence[Asked]) -> None:
    """Refuse questions that nothing can be learned from, before they are searched for and read.

    :param questions: The questions.
    :raises ConfigurationError: If there are fewer than 50, or none has an accepted answer.
    """
    if len(questions) < LEAST_QUESTIONS:
        raise ConfigurationError(f"a calibration needs at least {LEAST_QUESTIONS} questions, got {len(questions)}")
    if not any(question.accepted for question in questions):
        raise ConfigurationError(
            "none of the questions has an accepted answer; add questions with and without a right one"
        )


def _read_in_precisions(
    reader: ExtractiveReader,
    questions: Sequence[Asked],
    passages: Sequence[list[Document]],
    partial: Path | None,
    progress: Progress | None,
) -> dict[str, list[Labelled]]:
    precisions = precisions_of(reader)
    readings = {}
    for number, precision in enumerate(precisions):

        def told(done: int, total: int, number: int = number) -> None:
            if progress is not None:
                progress(number * total + done, len(precisions) * total)

        kept = None if partial is None else partial / f"{precision}.jsonl"
        readings[precision] = read_labelled(
            _in_precision(reader, precision), questions, passages, partial=kept, progress=told
        )
    return readings


def _figures(before: Stated | None, after: Stated, sizes: Sequence[int]) -> dict[str, Any]:
    """Before and after, over all questions; and where there are several files, in their order, of each by itself."""
    figures: dict[str, Any] = {"before": None if before is None else before.figures(), "after": after.figures()}
    if len(sizes) > 1:
        ends = np.cumsum(sizes).tolist()
        parts = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
        figures["files"] = [
            {"before": None if before is None else before.of(part).figures(), "after": after.of(part).figures()}
            for part in parts
        ]
    return figures


def _not_seen(start: Calibration | None, about: Mapping[str, Any]) -> Calibration | None:
    """What a calibration was adapted from, where that was to the same files: their questions would count twice."""
    files = _files(about)
    while start is not None and start.fitted_on.get("adapted_from") is not None and files & _files(start.fitted_on):
        start = replace(start, adapted=start.fitted_on["adapted_from"], fitted_on=start.fitted_on["started_from"])
    return start


def _files(about: Mapping[str, Any]) -> set[str]:
    data = about.get("data")
    return {each["sha256"] for each in data if "sha256" in each} if isinstance(data, list) else set()


def _in_precision(reader: ExtractiveReader, precision: str) -> ExtractiveReader:
    data = reader.to_dict()
    data["init_parameters"]["precision"] = precision
    return default_from_dict(ExtractiveReader, data)


def bm25_passages(questions: Sequence[Asked], paragraphs: Sequence[str], top_k: int = 10) -> list[list[Document]]:
    """What BM25 finds for each question among paragraphs.

    :param questions: The questions.
    :param paragraphs: The paragraphs.
    :param top_k: How many passages a question.
    """
    with tempfile.TemporaryDirectory() as folder, FaissDocumentStore(folder) as store:
        store.write_documents([Document(content=text) for text in dict.fromkeys(paragraphs)])
        return [store.bm25_retrieval(question.text, top_k=top_k) for question in questions]
