"""Fitting a reader's calibration, and measuring how far its probabilities can be trusted."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64Array = NDArray[np.float64]


def fit_platt(margins: ArrayLike, right: ArrayLike, iterations: int = 100) -> tuple[float, float]:
    """Logistic regression of "is right" on the margin, by Newton's method (Platt 1999, with his smoothed targets).

    :param margins: Logit margins, float, shape (n,).
    :param right: Whether each answer was right, bool, shape (n,).
    :param iterations: The most Newton steps.
    :returns: Slope and offset of the log odds.
    :raises ValueError: If all answers are right or all are wrong.
    """
    x = np.asarray(margins, dtype=np.float64)
    y = np.asarray(right, dtype=bool)
    positives, negatives = int(y.sum()), int((~y).sum())
    if not positives or not negatives:
        raise ValueError("a calibration needs right and wrong answers, got only one kind")
    target = np.where(y, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    features = np.stack([x, np.ones_like(x)], axis=1)
    weights = np.zeros(2)
    for _ in range(iterations):
        p = 1 / (1 + np.exp(-features @ weights))
        gradient = features.T @ (p - target)
        hessian = (features * (p * (1 - p))[:, None]).T @ features + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        weights -= step
        if np.abs(step).max() < 1e-10:
            break
    return float(weights[0]), float(weights[1])


def expected_calibration_error(probabilities: ArrayLike, right: ArrayLike, bins: int = 15) -> float:
    """Mean distance between stated and true probability over bins of equally many answers (Nguyen & O'Connor 2015).

    :param probabilities: Stated probabilities, float, shape (n,).
    :param right: Whether each answer was right, bool, shape (n,).
    :param bins: How many bins.
    :returns: The error, 0.0 to 1.0.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    y = np.asarray(right, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    parts: Sequence[Float64Array] = np.array_split(order, min(bins, len(order)))
    gaps = [len(part) * abs(p[part].mean() - y[part].mean()) for part in parts]
    return float(sum(gaps) / len(order))
