"""How far stated probabilities can be trusted, and how well scores tell right answers from wrong ones."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64Array = NDArray[np.float64]

BINS = 15


@dataclass(frozen=True)
class ReliabilityBin:
    """Answers of like probability.

    :param lowest: The lowest stated probability in it.
    :param highest: The highest.
    :param stated: Mean of the stated probabilities.
    :param right: Fraction of the answers that are right.
    :param count: How many answers.
    """

    lowest: float
    highest: float
    stated: float
    right: float
    count: int


@dataclass(frozen=True)
class RiskCoverage:
    """What is risked when only the answers of the highest scores are given (El-Yaniv & Wiener 2010).

    :param coverage: Fraction of the questions that are answered, ascending to 1, float64, shape (n,).
    :param risk: Fraction of wrong ones among them, float64, shape (n,).
    :param area: Mean risk over all coverages: smaller is better, and half the questions wrong at random gives 0.5.
    """

    coverage: Float64Array
    risk: Float64Array
    area: float


def expected_calibration_error(probabilities: ArrayLike, right: ArrayLike, bins: int = BINS) -> float:
    """Mean distance between stated and true probability over bins of equally many answers (Nguyen & O'Connor 2015).

    :param probabilities: Stated probabilities, float, shape (n,).
    :param right: Whether each answer was right, bool, shape (n,).
    :param bins: How many bins.
    :returns: The error, 0.0 to 1.0.
    """
    curve = reliability_curve(probabilities, right, bins)
    return sum(each.count * abs(each.stated - each.right) for each in curve) / sum(each.count for each in curve)


def reliability_curve(probabilities: ArrayLike, right: ArrayLike, bins: int = BINS) -> list[ReliabilityBin]:
    """Stated against true probability in bins of equally many answers.

    :param probabilities: As in `expected_calibration_error`.
    :param right: As there.
    :param bins: As there.
    :returns: The bins, from the lowest probability to the highest; fewer where there are fewer answers.
    """
    p, y = _checked(probabilities, right)
    order = np.argsort(p, kind="stable")
    return [
        ReliabilityBin(
            float(p[part].min()), float(p[part].max()), float(p[part].mean()), float(y[part].mean()), len(part)
        )
        for part in np.array_split(order, min(bins, len(order)))
    ]


def brier_score(probabilities: ArrayLike, right: ArrayLike) -> float:
    """Mean squared distance of stated probabilities from what came true (Brier 1950); 0.0 is best, 0.25 is a coin's.

    :param probabilities: As in `expected_calibration_error`.
    :param right: As there.
    """
    p, y = _checked(probabilities, right)
    return float(np.mean((p - y) ** 2))


def log_loss(probabilities: ArrayLike, right: ArrayLike) -> float:
    """Mean negative logarithm, in nats, of the probability that was given to what came true.

    :param probabilities: As in `expected_calibration_error`; those at 0 and 1 count as 1e-15 away from them.
    :param right: As there.
    """
    p, y = _checked(probabilities, right)
    p = np.clip(p, 1e-15, 1 - 1e-15)
    return float(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)))


def risk_coverage(scores: ArrayLike, right: ArrayLike) -> RiskCoverage:
    """The risk of answering only the questions whose answers score highest.

    Of answers with equal scores as many count as wrong as are on average, so their order does not matter.

    :param scores: Any scores, larger for answers that are likelier to be right, float, shape (n,).
    :param right: As in `expected_calibration_error`.
    """
    s, y = _checked(scores, right)
    answered = np.arange(1, len(s) + 1)
    ends, wrong = _wrong_above(s, y)
    risk = np.interp(answered, [0, *ends], [0.0, *wrong]) / answered
    return RiskCoverage(answered / len(s), risk, float(risk.mean()))


def coverage_at_accuracy(scores: ArrayLike, right: ArrayLike, accuracy: float) -> float:
    """The largest fraction of the questions that some threshold on the score lets through with so many right.

    :param scores: As in `risk_coverage`.
    :param right: As in `expected_calibration_error`.
    :param accuracy: The fraction of them that must be right, 0.0 to 1.0.
    :returns: The fraction; 0.0 if no threshold does.
    """
    s, y = _checked(scores, right)
    ends, wrong = _wrong_above(s, y)
    enough = ends[(ends - wrong) / ends >= accuracy]
    return float(enough.max(initial=0) / len(s))


def right_above(probabilities: ArrayLike, right: ArrayLike, threshold: float) -> tuple[float, float | None]:
    """What a user gets who asks for answers above a probability.

    :param probabilities: As in `expected_calibration_error`.
    :param right: As there.
    :param threshold: The probability.
    :returns: Fraction of the answers above it, and of these the fraction that is right; None if there are none.
    """
    p, y = _checked(probabilities, right)
    above = p > threshold
    return float(above.mean()), float(y[above].mean()) if above.any() else None


def auroc(scores: ArrayLike, positive: ArrayLike) -> float | None:
    """Area under the ROC curve: how often a positive scores above a negative, ties counting half.

    :param scores: Larger for likelier positives, float, shape (n,).
    :param positive: Which are positive, bool, shape (n,).
    :returns: The area; None if all are of one kind.
    """
    from sklearn.metrics import roc_auc_score

    s, y = _checked(scores, positive)
    return float(roc_auc_score(y, s)) if 0 < y.sum() < len(y) else None


def average_precision(scores: ArrayLike, positive: ArrayLike) -> float | None:
    """Mean precision over the positives in the order of their scores.

    :param scores: As in `auroc`.
    :param positive: As there.
    :returns: The mean; None if all are of one kind.
    """
    from sklearn.metrics import average_precision_score

    s, y = _checked(scores, positive)
    return float(average_precision_score(y, s)) if 0 < y.sum() < len(y) else None


def _wrong_above(scores: Float64Array, right: Float64Array) -> tuple[NDArray[np.int64], Float64Array]:
    """For every distinct score, from the highest: how many answers score that or more, and how many are wrong."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True)) + 1
    return ends, np.cumsum(1 - right[order])[ends - 1]


def _checked(scores: ArrayLike, right: ArrayLike) -> tuple[Float64Array, Float64Array]:
    s, y = np.asarray(scores, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if s.ndim != 1 or s.shape != y.shape or not len(s):
        raise ValueError(f"scores and truth must be two lists of one length above 0, got {s.shape} and {y.shape}")
    return s, y
