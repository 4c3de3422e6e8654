"""How far stated probabilities can be trusted, and how well scores tell right answers from wrong ones."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lodestone.evaluation.tally import Float64Array, Scored, Tally, bin_sizes

BINS = 15
DRAWS = 1000


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


def expected_calibration_error(
    probabilities: ArrayLike, right: ArrayLike, bins: int = BINS, weights: ArrayLike | None = None
) -> float:
    """Mean distance between stated and true probability over bins of equally many answers (Nguyen & O'Connor 2015).

    :param probabilities: Stated probabilities, float, shape (n,).
    :param right: Whether each answer was right, bool, shape (n,).
    :param bins: How many bins.
    :param weights: What each answer counts, 1.0 on average, float, shape (n,); None for 1 each.
    :returns: The error, 0.0 to 1.0.
    """
    counts = None if weights is None else np.asarray(weights)[None]
    return float(Scored(probabilities, right).tally(counts).calibration_error(bins)[0])


def error_of_perfect(
    probabilities: ArrayLike, draws: int = DRAWS, bins: int = BINS, weights: ArrayLike | None = None
) -> tuple[float, float, float]:
    """The calibration error that probabilities show by chance where each is exactly right.

    Of finitely many answers it is never 0: in each bin the fraction that is right is off by chance.

    :param probabilities: As in `expected_calibration_error`.
    :param draws: How often what comes true is drawn from them.
    :param bins: As there.
    :param weights: As there.
    :returns: The mean of the errors, and the ends of the range that 95 % of them lie in.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    drawn = Scored(p, np.zeros(p.shape)).perfect(draws) if weights is None else _weighted(p, np.asarray(weights), draws)
    errors = np.concatenate([each.calibration_error(bins) for each in drawn])
    low, high = np.quantile(errors, [0.025, 0.975])
    return float(errors.mean()), float(low), float(high)


def reliability_curve(probabilities: ArrayLike, right: ArrayLike, bins: int = BINS) -> list[ReliabilityBin]:
    """Stated against true probability in bins of equally many answers.

    :param probabilities: As in `expected_calibration_error`.
    :param right: As there.
    :param bins: As there.
    :returns: The bins, from the lowest probability to the highest; fewer where there are fewer answers.
    """
    p, y = _checked(probabilities, right)
    order = np.argsort(p, kind="stable")
    _, ties, counts = np.unique(p, return_inverse=True, return_counts=True)
    # As in `Tally`, each of several answers with one probability is as right as they are on average.
    level = (np.bincount(ties, weights=y) / counts)[ties]
    return [
        ReliabilityBin(
            float(p[part].min()), float(p[part].max()), float(p[part].mean()), float(level[part].mean()), len(part)
        )
        for part in np.split(order, np.cumsum(bin_sizes(len(order), bins))[:-1])
    ]


def brier_score(probabilities: ArrayLike, right: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Mean squared distance of stated probabilities from what came true (Brier 1950); 0.0 is best, 0.25 is a coin's.

    :param probabilities: As in `expected_calibration_error`.
    :param right: As there.
    :param weights: As there.
    """
    p, y = _checked(probabilities, right)
    return _mean((p - y) ** 2, weights)


def log_loss(probabilities: ArrayLike, right: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Mean negative logarithm, in nats, of the probability that was given to what came true.

    :param probabilities: As in `expected_calibration_error`; those at 0 and 1 count as 1e-15 away from them.
    :param right: As there.
    :param weights: As there.
    """
    p, y = _checked(probabilities, right)
    p = np.clip(p, 1e-15, 1 - 1e-15)
    return -_mean(y * np.log(p) + (1 - y) * np.log(1 - p), weights)


def risk_coverage(scores: ArrayLike, right: ArrayLike) -> RiskCoverage:
    """The risk of answering only the questions whose answers score highest.

    Of answers with equal scores as many count as wrong as are on average, so their order does not matter.

    :param scores: Any scores, larger for answers that are likelier to be right, float, shape (n,).
    :param right: As in `expected_calibration_error`.
    """
    tally = Scored(scores, right).tally()
    answered = np.arange(1, tally.size + 1)
    wrong = np.cumsum(tally.total - tally.right)
    risk = np.interp(answered, np.append(0, np.cumsum(tally.total)), np.append(0, wrong)) / answered
    return RiskCoverage(answered / tally.size, risk, float(tally.risk_area()[0]))


def coverage_at_accuracy(scores: ArrayLike, right: ArrayLike, accuracy: float) -> float:
    """The largest fraction of the questions that some threshold on the score lets through with so many right.

    :param scores: As in `risk_coverage`.
    :param right: As in `expected_calibration_error`.
    :param accuracy: The fraction of them that must be right, 0.0 to 1.0.
    :returns: The fraction; 0.0 if no threshold does.
    """
    return float(Scored(scores, right).tally().coverage(accuracy)[0])


def right_above(probabilities: ArrayLike, right: ArrayLike, threshold: float) -> tuple[float, float | None]:
    """What a user gets who asks for answers above a probability.

    :param probabilities: As in `expected_calibration_error`.
    :param right: As there.
    :param threshold: The probability.
    :returns: Fraction of the answers above it, and of these the fraction that is right; None if there are none.
    """
    share, correct = Scored(probabilities, right).tally().above(threshold)
    return float(share[0]), _known(correct[0])


def auroc(scores: ArrayLike, positive: ArrayLike) -> float | None:
    """Area under the ROC curve: how often a positive scores above a negative, ties counting half.

    :param scores: Larger for likelier positives, float, shape (n,).
    :param positive: Which are positive, bool, shape (n,).
    :returns: The area; None if all are of one kind.
    """
    return _known(Scored(scores, positive).tally().auroc()[0])


def average_precision(scores: ArrayLike, positive: ArrayLike) -> float | None:
    """Mean precision over the positives in the order of their scores.

    :param scores: As in `auroc`.
    :param positive: As there.
    :returns: The mean; None if all are of one kind.
    """
    return _known(Scored(scores, positive).tally().average_precision()[0])


def _mean(values: Float64Array, weights: ArrayLike | None) -> float:
    return float(np.average(values, weights=None if weights is None else np.asarray(weights, dtype=np.float64)))


def _weighted(p: Float64Array, weights: Float64Array, draws: int) -> Iterator[Tally]:
    """Answers that count differently, as right as they say, again and again."""
    order = np.argsort(-p, kind="stable")
    p, total = p[order], weights[order][None]
    random = np.random.default_rng(0)
    for _ in range(draws):
        yield Tally(p, total, total * (random.random(len(p)) < p))


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _checked(scores: ArrayLike, right: ArrayLike) -> tuple[Float64Array, Float64Array]:
    s, y = np.asarray(scores, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if s.ndim != 1 or s.shape != y.shape or not len(s):
        raise ValueError(f"scores and truth must be two lists of one length above 0, got {s.shape} and {y.shape}")
    return s, y
