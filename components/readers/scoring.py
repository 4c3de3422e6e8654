"""What a score is: a calibrated probability, a raw margin, or the score that other readers gave."""

import math
from collections.abc import Sequence
from typing import Protocol

from haystack import Document
from haystack.dataclasses import ExtractedAnswer

from lodestone.components.readers.answers import no_answer, to_extracted_answers
from lodestone.components.readers.calibration import Calibration
from lodestone.components.readers.evidence import gather_evidence
from lodestone.components.readers.merging import MergedAnswer, Quote
from lodestone.components.readers.settings import ReadSettings


class Scoring(Protocol):
    """Turns merged answers into scored ones."""

    calibrated: bool
    """Whether scores are probabilities that were fitted on labelled data."""

    def rank(self, quote: Quote) -> float:
        """By what quotes are ordered and the best of competing ones is kept: larger is better."""
        ...

    def answers(
        self, query: str, documents: Sequence[Document], merged: Sequence[MergedAnswer], settings: ReadSettings
    ) -> list[ExtractedAnswer]:
        """Score one question's answers.

        :param query: The question.
        :param documents: The passages that were read, in the order in which they were given.
        :param merged: Its answers, best first.
        :param settings: How many to give, from which score on, and whether to give "no answer".
        :returns: Answers, best first, "no answer" at its place among them.
        """
        ...


class CalibratedScoring:
    """Probabilities on one scale for all answers and "no answer".

    :param calibration: What turns margins and wording into probabilities.
    """

    calibrated = True

    def __init__(self, calibration: Calibration) -> None:
        self.calibration = calibration

    def rank(self, quote: Quote) -> float:
        """By the margin over the null score."""
        return quote.margin

    def answers(
        self, query: str, documents: Sequence[Document], merged: Sequence[MergedAnswer], settings: ReadSettings
    ) -> list[ExtractedAnswer]:
        """See `Scoring.answers`."""
        distribution = self.calibration.distribution(gather_evidence(query, documents, merged))
        order = sorted(range(len(distribution.answers)), key=lambda index: -distribution.answers[index])
        scores = [float(distribution.answers[index]) for index in order]
        rest = merged[len(order) :]
        ranked = [*(merged[index] for index in order), *rest]
        return _listed(query, ranked, [*scores, *[0.0] * len(rest)], distribution.none, settings, calibrated=True)


class MarginScoring:
    """Raw margins over the null score, for readers without a calibration; that of "no answer" is 0."""

    calibrated = False

    def rank(self, quote: Quote) -> float:
        """By the margin over the null score."""
        return quote.margin

    def answers(
        self, query: str, documents: Sequence[Document], merged: Sequence[MergedAnswer], settings: ReadSettings
    ) -> list[ExtractedAnswer]:
        """See `Scoring.answers`."""
        margins = [answer.best.margin for answer in merged]
        return _listed(query, merged, margins, 0.0, settings, calibrated=False)


class FactorScoring:
    """The score of `TransformersExtractiveReader`: `sigmoid(factor * (start + end logit))`.

    "No answer" gets the product of the others' complements over the answers that are given; the model's own vote for it
    is not read. It is here so that old thresholds keep their meaning.

    :param factor: What the sum of logits is multiplied with; 0.1 by default there.
    """

    calibrated = False

    def __init__(self, factor: float) -> None:
        self._factor = factor

    def rank(self, quote: Quote) -> float:
        """By the sum of logits."""
        return quote.logit

    def answers(
        self, query: str, documents: Sequence[Document], merged: Sequence[MergedAnswer], settings: ReadSettings
    ) -> list[ExtractedAnswer]:
        """See `Scoring.answers`."""
        scores = [_sigmoid(self._factor * answer.best.logit) for answer in merged[: settings.top_k]]
        none = math.prod(1 - score for score in scores)
        return _listed(query, merged, scores, none, settings, calibrated=False)


def _listed(
    query: str,
    merged: Sequence[MergedAnswer],
    scores: Sequence[float],
    none: float,
    settings: ReadSettings,
    *,
    calibrated: bool,
) -> list[ExtractedAnswer]:
    kept = merged[: settings.top_k]
    answers = to_extracted_answers(
        query, kept, scores[: len(kept)], calibrated=calibrated, context_chars=settings.context_chars
    )
    answers.sort(key=lambda answer: -answer.score)
    if settings.no_answer:
        before = sum(answer.score >= none for answer in answers)
        if calibrated:
            # The answers share what "no answer" leaves: it comes first where it is likelier than all of them together.
            before = 0 if none > 0.5 else max(1, before)
        answers.insert(before, no_answer(query, none, calibrated=calibrated))
    threshold = settings.score_threshold
    return [answer for answer in answers if threshold is None or answer.score >= threshold]


def _sigmoid(value: float) -> float:
    if value >= 0:
        return 1 / (1 + math.exp(-value))
    return math.exp(value) / (1 + math.exp(value))
