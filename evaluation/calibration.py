"""Fitting a reader's calibration."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64Array = NDArray[np.float64]


def fit_scale_and_offset(
    margins: Sequence[ArrayLike], right: Sequence[int | None], iterations: int = 100
) -> tuple[float, float]:
    """Fit the two parameters of a `Calibration` to questions whose right answer is known.

    Maximum likelihood of a conditional logit (McFadden 1974) in which each answer of a question weighs
    `exp(scale * margin + offset)` and "no answer" weighs 1; for questions with one answer it is Platt's fit. Newton's
    method with a small ridge.

    :param margins: For each question the margins of its distinct answers, float, shape (answers,).
    :param right: For each question which of them is right; None if none is.
    :param iterations: The most Newton steps.
    :returns: Scale and offset.
    :raises ValueError: If every question has a right answer, or none has.
    """
    found = sum(index is not None for index in right)
    if found in (0, len(right)):
        raise ValueError("a calibration needs questions with and without a right answer, got only one kind")
    features = [np.stack([np.asarray(m, dtype=np.float64), np.ones(len(np.asarray(m)))], axis=1) for m in margins]
    weights = np.array([0.1, 0.0])
    for _ in range(iterations):
        gradient, hessian = 1e-6 * weights, 1e-6 * np.eye(2)
        for rows, index in zip(features, right, strict=True):
            p = _probabilities(rows @ weights)
            mean = p @ rows
            gradient += mean - (rows[index] if index is not None else 0)
            hessian += (rows * p[:, None]).T @ rows - np.outer(mean, mean)
        step = np.linalg.solve(hessian, gradient)
        weights -= step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-9:
            break
    return float(weights[0]), float(weights[1])


def _probabilities(log_odds: Float64Array) -> Float64Array:
    highest = max(0.0, float(log_odds.max(initial=0.0)))
    odds = np.exp(log_odds - highest)
    shares: Float64Array = odds / (np.exp(-highest) + odds.sum())
    return shares
