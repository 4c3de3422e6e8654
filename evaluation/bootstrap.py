"""How sure a figure over questions is, and whether one run is better than another."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_CHUNK = 4_000_000
SAMPLES = 2000

Figures = Mapping[str, NDArray[np.float64]]
"""Figures by name, one value a resample; NaN where a resample has none."""


@dataclass(frozen=True)
class Difference:
    """The second run's mean less the first's, over the same questions.

    :param difference: The difference of the means.
    :param low: Lower end of its confidence interval.
    :param high: Upper end.
    :param p_value: Two-sided: how often a difference as large arises when the runs are swapped question by question.
        None for figures that are no means over questions.
    """

    difference: float
    low: float
    high: float
    p_value: float | None = None


def confidence_interval(
    values: ArrayLike, *, level: float = 0.95, samples: int = SAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of a mean (Efron & Tibshirani 1993).

    :param values: One value a question, float, shape (n,).
    :param level: How often such intervals hold the true mean.
    :param samples: How many times as many questions are drawn with replacement.
    :param seed: Seed of the draws: equal seeds give equal intervals.
    :returns: Lower and upper end.
    """
    x = _checked(values)
    random = np.random.default_rng(seed)
    rows = max(1, _CHUNK // len(x))
    means = [
        x[random.integers(0, len(x), size=(min(rows, samples - done), len(x)))].mean(axis=1)
        for done in range(0, samples, rows)
    ]
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_difference(
    first: ArrayLike, second: ArrayLike, *, level: float = 0.95, samples: int = 10_000, seed: int = 0
) -> Difference:
    """Compare two runs over the same questions: paired bootstrap and paired permutation test.

    :param first: One value a question, float, shape (n,).
    :param second: The other run's, shape (n,).
    :param level: As in `confidence_interval`.
    :param samples: How many resamples, and how many permutations.
    :param seed: As in `confidence_interval`.
    :returns: The difference, its interval and its p-value, which is never below 1 / (samples + 1).
    """
    a, b = _checked(first), _checked(second)
    if a.shape != b.shape:
        raise ValueError(f"the runs must have values for the same questions, got {len(a)} and {len(b)}")
    difference = b - a
    low, high = confidence_interval(difference, level=level, samples=samples, seed=seed)
    # Questions on which the runs agree stay 0 whichever way they are swapped.
    unequal = difference[difference != 0]
    random = np.random.default_rng(seed)
    observed = abs(unequal.sum())
    as_large, rows = 0, max(1, _CHUNK // max(len(unequal), 1))
    for done in range(0, samples, rows):
        signs = random.integers(0, 2, size=(min(rows, samples - done), len(unequal)), dtype=np.int8) * 2 - 1
        # Sums in another order differ in their last digits.
        as_large += int((np.abs(signs @ unequal) >= observed * (1 - 1e-9)).sum())
    return Difference(float(difference.mean()), low, high, (as_large + 1) / (samples + 1))


def resampled(
    figures: Callable[[NDArray[np.float64]], Figures], count: int, *, samples: int = SAMPLES, seed: int = 0
) -> dict[str, NDArray[np.float64]]:
    """Figures of questions that are drawn with replacement.

    :param figures: Gives the figures of resamples; it gets how often each question is in each, shape (any, count).
    :param count: How many questions.
    :param samples: How many resamples.
    :param seed: As in `confidence_interval`: equal seeds draw equal questions.
    :returns: Each figure's values, shape (samples,).
    """
    found = [figures(drawn) for drawn in _draws(count, samples, seed)]
    return {name: np.concatenate([each[name] for each in found]) for name in found[0]}


def interval_around(
    value: float, values: NDArray[np.float64], *, level: float = 0.95, shifted: bool = False
) -> tuple[float, float] | None:
    """The interval of a figure from its values in resamples.

    :param value: The figure.
    :param values: What `resampled` gave; NaN are left out.
    :param level: As in `confidence_interval`.
    :param shifted: Whether to bring the resamples' mean to the figure. A calibration error is larger in resamples,
        which have noise of their own beside that of the questions: without this it might lie below its own interval.
    :returns: Lower and upper end; None if no resample has the figure.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return None
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    offset = value - known.mean() if shifted else 0.0
    return float(low + offset), float(high + offset)


def _draws(count: int, samples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    random = np.random.default_rng(seed)
    rows = max(1, _CHUNK // 4 // count)
    for done in range(0, samples, rows):
        size = min(rows, samples - done)
        drawn = random.integers(0, count, size=(size, count)) + count * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count).astype(np.float64)


def _checked(values: ArrayLike) -> NDArray[np.float64]:
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or not len(x):
        raise ValueError(f"values must be a list of at least one number, got the shape {x.shape}")
    return x
