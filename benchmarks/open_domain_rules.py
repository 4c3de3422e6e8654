"""Ways to choose and to score one answer out of what was seen in all windows of a question's passages."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from open_domain_readings import Reading

from lodestone.components.readers.calibration import Calibration
from lodestone.components.readers.merging import MergedAnswer, Quote
from lodestone.components.readers.normalize import normalize_answer
from lodestone.evaluation.calibration import Labelled
from lodestone.evaluation.squad import exact_match, f1

Floats = NDArray[np.float64]
_TEMPERATURES = (1.0, 1.5, 2.0, 3.0, 4.0)
_INTERPOLATIONS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4)


@dataclass(frozen=True)
class Answers:
    """The best answer to each question.

    :param texts: Its words.
    :param scores: Its score.
    :param none: The score of "no answer"; None where the rule has none, then the complement of `scores` ranks.
    """

    texts: list[str]
    scores: Floats
    none: Floats | None = None


class Sample:
    """Questions with what was read, prepared once.

    :param readings: They. Those for which no passage was found are left out: no rule has a choice there.
    """

    def __init__(self, readings: Sequence[Reading]) -> None:
        self.readings = [reading for reading in readings if reading.windows]
        self.merged: list[list[MergedAnswer]] = [reading.merged() for reading in self.readings]
        self.labelled: list[Labelled] = [reading.labelled() for reading in self.readings]
        self.accepted = [reading.question.answers for reading in self.readings]
        self.answerable = np.array([bool(answers) for answers in self.accepted])

    def __len__(self) -> int:
        return len(self.readings)

    def part(self, places: Sequence[int]) -> "Sample":
        """Some of the questions."""
        part = Sample([])
        part.readings = [self.readings[place] for place in places]
        part.merged = [self.merged[place] for place in places]
        part.labelled = [self.labelled[place] for place in places]
        part.accepted = [self.accepted[place] for place in places]
        part.answerable = self.answerable[list(places)]
        return part

    def exact(self, texts: Sequence[str]) -> Floats:
        """Which texts are right to the word; none is where the question has no answer."""
        return np.array([float(bool(a) and exact_match(t, a) > 0) for t, a in zip(texts, self.accepted, strict=True)])

    def f1(self, texts: Sequence[str]) -> Floats:
        """The texts' F1, 0 where the question has no answer."""
        return np.array([f1(t, a) if a else 0.0 for t, a in zip(texts, self.accepted, strict=True)])


def raw_sum(sample: Sample, factor: float = 0.1) -> Answers:
    """The highest start plus end logit, as `TransformersExtractiveReader` scores it."""
    texts, scores, none = [], [], []
    for reading in sample.readings:
        quotes = sorted((quote for quotes in reading.windows for quote in quotes), key=lambda quote: -quote.logit)
        values = [_sigmoid(factor * quote.logit) for quote in quotes[:20]]
        texts.append(quotes[0].text)
        scores.append(values[0])
        none.append(math.prod(1 - value for value in values))
    return Answers(texts, np.array(scores), np.array(none))


def best_margin(sample: Sample) -> Answers:
    """The highest margin over its window's null score."""
    best = [answers[0].best for answers in sample.merged]
    return Answers([quote.text for quote in best], np.array([quote.margin for quote in best]))


def interpolated(sample: Sample, fitted_on: Sample) -> Answers:
    """Margin plus a weight times BM25's score; the weight is the best for exact matches on other questions."""

    def choose(part: Sample, weight: float) -> Answers:
        texts, scores = [], []
        for answers in part.merged:
            values = [answer.best.margin + weight * (answer.best.document.score or 0.0) for answer in answers]
            best = int(np.argmax(values))
            texts.append(answers[best].best.text)
            scores.append(values[best])
        return Answers(texts, np.array(scores))

    return choose(sample, max(_INTERPOLATIONS, key=lambda w: fitted_on.exact(choose(fitted_on, w).texts).sum()))


def window_softmax(sample: Sample) -> Answers:
    """The highest probability in the softmax over one window's own spans and its null score."""

    def weigh(quotes: list[Quote]) -> float:
        return quotes[0].margin - float(np.logaddexp.reduce([0.0, *(quote.margin for quote in quotes)]))

    texts, scores = [], []
    for reading in sample.readings:
        quotes, score = max(((quotes, weigh(quotes)) for quotes in reading.windows), key=lambda pair: pair[1])
        texts.append(quotes[0].text)
        scores.append(math.exp(score))
    return Answers(texts, np.array(scores))


def summed_softmax(sample: Sample, fitted_on: Sample) -> Answers:
    """One softmax over the spans and null scores of all windows, summed over equal texts.

    The temperature is the best for exact matches on other questions.
    """

    def choose(part: Sample, temperature: float) -> Answers:
        texts, scores = [], []
        for reading in part.readings:
            sums: dict[str, float] = {}
            shown: dict[str, str] = {}
            for quote in (quote for quotes in reading.windows for quote in quotes):
                key = normalize_answer(quote.text)
                shown.setdefault(key, quote.text)
                sums[key] = float(np.logaddexp(sums.get(key, -np.inf), quote.margin / temperature))
            nothing = math.log(len(reading.windows))
            total = float(np.logaddexp.reduce([nothing, *sums.values()]))
            best = max(sums, key=lambda key: sums[key])
            texts.append(shown[best])
            scores.append(math.exp(sums[best] - total))
        return Answers(texts, np.array(scores))

    return choose(sample, max(_TEMPERATURES, key=lambda t: fitted_on.exact(choose(fitted_on, t).texts).sum()))


def noisy_or(sample: Sample, fitted_on: Sample) -> Answers:
    """One less the product of the complements of an answer's places, each by Platt's map of its margin."""
    scale, offset = platt(best_margin(fitted_on).scores, fitted_on.exact(best_margin(fitted_on).texts))
    texts, scores = [], []
    for answers in sample.merged:
        wrong = [math.prod(1 - _sigmoid(scale * q.margin + offset) for q in answer.quotes) for answer in answers]
        best = int(np.argmin(wrong))
        texts.append(answers[best].best.text)
        scores.append(1 - wrong[best])
    return Answers(texts, np.array(scores))


def calibrated(sample: Sample, calibration: Calibration) -> Answers:
    """What the reader does: found, which, exact."""
    texts, scores, none = [], [], []
    for question in sample.labelled:
        distribution = calibration.distribution(question.evidence)
        best = int(distribution.answers.argmax())
        texts.append(question.evidence.texts[best])
        scores.append(float(distribution.answers[best]))
        none.append(distribution.none)
    return Answers(texts, np.array(scores), np.array(none))


def platt(scores: Floats, right: Floats) -> tuple[float, float]:
    """Scale and offset of the logistic map from a score to the probability of being right."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=1e6).fit(scores[:, None], right)
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])


def temperature(scores: Floats, right: Floats) -> float:
    """The scale of a logistic map without offset, for scores that are log odds already."""
    from sklearn.linear_model import LogisticRegression

    return float(LogisticRegression(C=1e6, fit_intercept=False).fit(scores[:, None], right).coef_[0, 0])


def logistic(scores: Floats, scale: float, offset: float = 0.0) -> Floats:
    """Probabilities of a logistic map."""
    mapped: Floats = 0.5 * (1 + np.tanh(0.5 * (scale * scores + offset)))
    return mapped


def isotonic(scores: Floats, right: Floats, new: Floats) -> Floats:
    """Probabilities by the monotone map that fits best (Zadrozny & Elkan 2002)."""
    from sklearn.isotonic import IsotonicRegression

    mapped: Floats = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, right).predict(new)
    return mapped


def _sigmoid(value: float) -> float:
    return 0.5 * (1 + math.tanh(0.5 * value))
