"""Answers counted by their scores, in one sample or in many resamples at once: all that their figures are made from."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64Array = NDArray[np.float64]
_CHUNK = 1_000_000


@dataclass(frozen=True)
class Tally:
    """How many answers have each score, and how many of them are right, in one or more samples of equal size.

    Of answers with equal scores each counts as right as they are on average, so their order never matters.

    :param scores: The distinct scores, from the highest, float64, shape (scores,).
    :param total: How many answers have them, float64, shape (samples, scores).
    :param right: How many of these are right, float64, shape (samples, scores).
    """

    scores: Float64Array
    total: Float64Array
    right: Float64Array

    @property
    def size(self) -> int:
        """How many answers a sample has."""
        return round(float(self.total[0].sum()))

    def auroc(self) -> Float64Array:
        """How often a right answer scores above a wrong one, ties counting half; NaN where all are of one kind."""
        wrong = self.total - self.right
        above = np.cumsum(self.right, axis=1) - self.right
        pairs = self.right.sum(axis=1) * wrong.sum(axis=1)
        return _ratio((wrong * (above + self.right / 2)).sum(axis=1), pairs)

    def average_precision(self) -> Float64Array:
        """Mean precision over the right answers in the order of their scores; NaN where all are of one kind."""
        precision = _ratio(np.cumsum(self.right, axis=1), np.cumsum(self.total, axis=1), empty=0.0)
        found = self.right.sum(axis=1)
        mean = _ratio((self.right * precision).sum(axis=1), found)
        return np.where(found < self.size, mean, np.nan)

    def risk_area(self) -> Float64Array:
        """Mean fraction of wrong answers among the first k by score, over all k."""
        harmonic = np.append(0.0, np.cumsum(1 / np.arange(1, self.size + 1)))
        wrong = self.total - self.right
        rate = _ratio(wrong, self.total, empty=0.0)
        answered = np.rint(np.cumsum(self.total, axis=1)).astype(np.int64)
        before = answered - np.rint(self.total).astype(np.int64)
        # Within one score the k-th answer brings (wrong before + rate x (k - answers before)) / k.
        base = np.cumsum(wrong, axis=1) - wrong - rate * before
        area: Float64Array = (base * (harmonic[answered] - harmonic[before]) + wrong).sum(axis=1) / self.size
        return area

    def coverage(self, accuracy: float) -> Float64Array:
        """The largest fraction of answers that a threshold on the score lets through with so many right; else 0.

        :param accuracy: The fraction of them that must be right, 0.0 to 1.0.
        """
        answered, right = np.cumsum(self.total, axis=1), np.cumsum(self.right, axis=1)
        enough = np.where(_ratio(right, answered, empty=0.0) >= accuracy, answered, 0.0)
        covered: Float64Array = enough.max(axis=1) / self.size
        return covered

    def above(self, threshold: float) -> tuple[Float64Array, Float64Array]:
        """The fraction of answers with a score above a threshold, and of these the fraction that is right, else NaN.

        :param threshold: The threshold.
        """
        through = self.scores > threshold
        total = self.total[:, through].sum(axis=1)
        return total / self.size, _ratio(self.right[:, through].sum(axis=1), total)

    def calibration_error(self, bins: int) -> Float64Array:
        """Mean distance of stated from true probability over bins of equally many answers, scores being probabilities.

        :param bins: How many; fewer where there are fewer answers.
        """
        edges = np.append(0, np.cumsum(bin_sizes(self.size, bins)[::-1]))
        answered = np.cumsum(self.total, axis=1)
        excess = np.cumsum(self.total * self.scores - self.right, axis=1)
        at_edges = [
            np.interp(edges, np.append(0, count), np.append(0, sum_))
            for count, sum_ in zip(answered, excess, strict=True)
        ]
        error: Float64Array = np.abs(np.diff(np.array(at_edges), axis=1)).sum(axis=1) / self.size
        return error


class Scored:
    """Answers with their scores, sorted once, so that resamples of them are counted quickly.

    :param scores: Any scores, larger for answers that are likelier to be right, float, shape (n,).
    :param right: Whether each answer is right, bool or 0.0 and 1.0, shape (n,).
    :raises ValueError: If they are not two lists of one length above 0.
    """

    def __init__(self, scores: ArrayLike, right: ArrayLike) -> None:
        s, y = np.asarray(scores, dtype=np.float64), np.asarray(right, dtype=np.float64)
        if s.ndim != 1 or s.shape != y.shape or not len(s):
            raise ValueError(f"scores and truth must be two lists of one length above 0, got {s.shape} and {y.shape}")
        self._order = np.argsort(-s, kind="stable")
        descending = s[self._order]
        self._right = y[self._order]
        self._starts = np.flatnonzero(np.append(True, np.diff(descending) != 0))
        self._scores = descending[self._starts]

    def tally(self, drawn: ArrayLike | None = None) -> Tally:
        """The answers by score.

        :param drawn: How often each answer is in each resample, shape (samples, n); None for one sample, each once.
        """
        counts = np.ones((1, len(self._order))) if drawn is None else np.asarray(drawn, dtype=np.float64)
        ordered = counts[:, self._order]
        total = np.add.reduceat(ordered, self._starts, axis=1)
        return Tally(self._scores, total, np.add.reduceat(ordered * self._right, self._starts, axis=1))

    def perfect(self, samples: int, seed: int = 0) -> Iterator[Tally]:
        """The same answers, right as often as their scores say: outcomes drawn from the probabilities.

        They come a part of the samples at a time, so that memory holds them however many answers there are.

        :param samples: How often they are drawn.
        :param seed: Seed of the draws.
        """
        total = self.tally().total
        p = np.clip(self._scores, 0, 1)
        random = np.random.default_rng(seed)
        rows = max(1, _CHUNK // len(p))
        for done in range(0, samples, rows):
            shape = (min(rows, samples - done), len(p))
            drawn = random.binomial(np.rint(total).astype(np.int64), p, size=shape)
            yield Tally(self._scores, np.broadcast_to(total, shape), drawn.astype(np.float64))


def bin_sizes(count: int, bins: int) -> NDArray[np.int64]:
    """How many answers each bin has, as equal as can be, the larger ones first.

    :param count: How many answers.
    :param bins: How many bins; fewer where there are fewer answers.
    """
    bins = min(bins, count)
    sizes = np.full(bins, count // bins, dtype=np.int64)
    sizes[: count % bins] += 1
    return sizes


def _ratio(values: Float64Array, of: Float64Array, empty: float = np.nan) -> Float64Array:
    ratio: Float64Array = np.divide(values, of, out=np.full(np.shape(values), empty), where=of > 0)
    return ratio
