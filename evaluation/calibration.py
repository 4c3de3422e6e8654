"""Fitting a reader's calibration to questions whose accepted answers are known."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from lodestone.components.readers.calibration import Calibration, log_odds
from lodestone.components.readers.evidence import EXACT, FOUND, WHICH, Evidence, Float64Array
from lodestone.evaluation.squad import exact_match, f1

# From this F1 with an accepted answer on, an answer is at the right place, whether or not it is exactly cut.
SAME_PLACE = 0.5
# Answers with a smaller share of their question's probability teach nothing about exact cuts.
_LEAST_SHARE = 0.1
# What a change of one standard deviation of the log odds costs, in half nats: of weights that are fitted from nothing,
# and of the scale of a calibration that is there, which 50 questions can then move but not upset.
_FREE, _DRAWN, _BIAS = 1.0, 10.0, 0.1

Objective = Callable[[Float64Array], tuple[float, Float64Array]]


@dataclass(frozen=True)
class Labelled:
    """A question with what was read, and which of its answers are right.

    :param evidence: Features of the answers.
    :param place: The first answer, by margin, at the right place; None if there is none.
    :param near: Which answers are at the right place, bool, shape (answers,).
    :param exact: Which answers are right to the word after SQuAD's normalisation, bool, shape (answers,).
    """

    evidence: Evidence
    place: int | None
    near: np.ndarray[tuple[int], np.dtype[np.bool_]]
    exact: np.ndarray[tuple[int], np.dtype[np.bool_]]


def label(evidence: Evidence, accepted: Sequence[str]) -> Labelled:
    """Judge the answers of a question.

    :param evidence: Features of its answers.
    :param accepted: The accepted answers; none if it is unanswerable.
    """
    near = np.array([bool(accepted) and f1(text, accepted) >= SAME_PLACE for text in evidence.texts], dtype=bool)
    exact = np.array([bool(accepted) and exact_match(text, accepted) > 0 for text in evidence.texts], dtype=bool)
    return Labelled(evidence, int(near.argmax()) if near.any() else None, near, exact)


def fit_calibration(
    questions: Sequence[Labelled],
    *,
    weights: Sequence[float] | None = None,
) -> Calibration:
    """Fit the three parts of a calibration, each by penalised maximum likelihood.

    :param questions: The questions, with and without a right answer.
    :param weights: What each question counts; None for 1 each.
    :returns: The calibration, bound to no model.
    :raises ValueError: If every question has a right answer, or none has: then nothing can be learned.
    """
    counts = np.ones(len(questions)) if weights is None else np.asarray(weights, dtype=np.float64)
    held = np.array([question.place is not None for question in questions])
    _check_kinds(held)
    features = np.array([question.evidence.found for question in questions])
    found = _fit(
        partial(_logistic, _with_bias(features), held.astype(np.float64), counts),
        np.zeros(len(FOUND) + 1),
        _penalties(features, _FREE, bias=True),
    )
    answered = [
        (question, count) for question, count in zip(questions, counts, strict=True) if question.place is not None
    ]
    rows = np.concatenate([question.evidence.which for question, _ in answered])
    which = _fit(
        partial(_conditional_logit, answered),
        np.zeros(len(WHICH)),
        _penalties(rows, _FREE, bias=False),
    )
    near, right, shares = _cuts(answered, which)
    exact = _fit(
        partial(_logistic, _with_bias(near), right, shares),
        np.zeros(len(EXACT) + 1),
        _penalties(near, _FREE, bias=True),
    )
    return Calibration.of(found, which, exact)


def adapt_calibration(
    start: Calibration, questions: Sequence[Labelled], *, weights: Sequence[float] | None = None
) -> Calibration:
    """Bring a calibration's probabilities to other questions: a scale and a bias on the answers' log odds (Platt 1999).

    They are fitted to whether each question's most probable answer is right, and drawn towards those of the start, so
    that 50 questions are enough. Which answer is best stays as it was.

    :param start: The calibration.
    :param questions: The questions.
    :param weights: What each question counts; None for 1 each.
    :raises ValueError: If the best answer of every question is right, or none is: then nothing can be learned.
    """
    as_fitted = replace(start, adapted={"scale": 1.0, "bias": 0.0})
    stated, right, _ = top_answers(as_fitted, questions)
    _check_kinds(right > 0)
    counts = np.ones(len(questions)) if weights is None else np.asarray(weights, dtype=np.float64)
    odds = log_odds(stated)[:, None]
    scale, bias = _fit(
        partial(_logistic, _with_bias(odds), right, counts),
        start.weights("adapted"),
        _penalties(odds, _DRAWN, bias=True),
    )
    return replace(start, adapted={"scale": float(scale), "bias": float(bias)})


def top_answers(
    calibration: Calibration, questions: Sequence[Labelled]
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """What a calibration says of each question's most probable answer.

    :param calibration: The calibration.
    :param questions: The questions.
    :returns: Its probability, whether it is right to the word (1.0 or 0.0), and the probability of "no answer"; each
        float64, shape (questions,).
    """
    stated, right, none = np.zeros(len(questions)), np.zeros(len(questions)), np.zeros(len(questions))
    for number, question in enumerate(questions):
        distribution = calibration.distribution(question.evidence)
        none[number] = distribution.none
        if len(distribution.answers):
            best = int(distribution.answers.argmax())
            stated[number], right[number] = distribution.answers[best], question.exact[best]
    return stated, right, none


def _check_kinds(right: "np.ndarray[Any, np.dtype[np.bool_]]") -> None:
    if right.all() or not right.any():
        raise ValueError("a calibration needs questions with and without a right answer, got only one kind")


def _penalties(features: Float64Array, stiffness: float, *, bias: bool) -> Float64Array:
    slopes = stiffness * np.maximum(features.std(axis=0), 1e-3) ** 2
    return np.append(slopes, _BIAS) if bias else slopes


def _with_bias(features: Float64Array) -> Float64Array:
    return np.concatenate([features, np.ones((len(features), 1))], axis=1)


def _fit(objective: Objective, centre: Float64Array, penalties: Float64Array) -> Float64Array:
    from scipy.optimize import minimize  # type: ignore[import-untyped]

    # In units of the features' standard deviations, in which the curvature is about the same in all directions.
    scales = 1 / np.sqrt(penalties / penalties.max())

    def penalised(moved: Float64Array) -> tuple[float, Float64Array]:
        change = moved * scales
        loss, gradient = objective(centre + change)
        return loss + 0.5 * float(penalties @ change**2), (gradient + penalties * change) * scales

    result = minimize(penalised, np.zeros(len(centre)), jac=True, method="L-BFGS-B", options={"maxiter": 1000})
    fitted: Float64Array = centre + result.x * scales
    return fitted


def _logistic(
    features: Float64Array, right: Float64Array, counts: Float64Array, weights: Float64Array
) -> tuple[float, Float64Array]:
    odds = features @ weights
    loss = float(counts @ (np.logaddexp(0, odds) - right * odds))
    return loss, features.T @ (counts * (0.5 * (1 + np.tanh(0.5 * odds)) - right))


def _conditional_logit(answered: Sequence[tuple[Labelled, float]], weights: Float64Array) -> tuple[float, Float64Array]:
    loss, gradient = 0.0, np.zeros(len(weights))
    for question, count in answered:
        assert question.place is not None
        features, place = question.evidence.which, question.place
        shares = _shares(features, weights)
        loss -= count * float(np.log(max(shares[place], 1e-300)))
        gradient += count * (shares @ features - features[place])
    return loss, gradient


def _shares(features: Float64Array, weights: Float64Array) -> Float64Array:
    utilities = features @ weights
    shares = np.exp(utilities - utilities.max())
    normalised: Float64Array = shares / shares.sum()
    return normalised


def _cuts(
    answered: Sequence[tuple[Labelled, float]], which: Float64Array
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Answers at the right place: their features, whether they are exactly cut, and what each counts."""
    features, right, counts = [], [], []
    for question, count in answered:
        shares = _shares(question.evidence.which, which)
        chosen = question.near & (shares >= _LEAST_SHARE)
        features.append(question.evidence.exact[chosen])
        right.append(question.exact[chosen])
        counts.append(count * shares[chosen])
    return np.concatenate(features), np.concatenate(right).astype(np.float64), np.concatenate(counts)
