"""Whether cross-validation should choose how many weights `lodestone calibrate` fits: measured, and not built in.

    python benchmarks/calibration_choice.py --data dev-v2.0.json reddit.json tales.json --cache FOLDER

Data and cache are those of open_domain.py. From each file so many questions are drawn and fitted on, the rest is
measured on. Adapting: nothing, a bias, or scale and bias on top of a calibration that was fitted on the first file (its
own questions: on another half of them). Fresh: `found` from the best margin alone, or from both of its features; the
other parts are the same. "Chosen" is the smallest whose log loss over five folds of the questions that were drawn is
within one standard error of the best's; "least" the one of the least.
"""

import argparse
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from open_domain_readings import readings
from open_domain_rules import Floats, Sample

from lodestone.components.models import DEFAULT_READER
from lodestone.components.readers.calibration import Calibration, log_odds
from lodestone.evaluation.calibration import (
    _DRAWN,
    _FREE,
    Labelled,
    _fit,
    _logistic,
    _penalties,
    _with_bias,
    fit_calibration,
    top_answers,
)
from lodestone.evaluation.calibration_metrics import expected_calibration_error, log_loss

FOLDS = 5
Prepared = tuple["Problem", Callable[[Floats], tuple[Floats, Floats]]]
ADAPTED = {"nothing": [], "bias": [1], "scale and bias": [0, 1]}
FRESH = {"margin": [0, 2], "margin and share": [0, 1, 2]}


@dataclass(frozen=True)
class Problem:
    """A penalised logistic fit, of which only some weights may move.

    :param rows: What is known, float64, shape (questions, weights).
    :param right: What came true, 1.0 or 0.0, shape (questions,).
    :param centre: The weights that stay where they may not move.
    :param penalties: What moving costs.
    """

    rows: Floats
    right: Floats
    centre: Floats
    penalties: Floats

    def fitted(self, columns: list[int], part: Sequence[int] | slice = slice(None)) -> Floats:
        """The weights, fitted to a part of the questions."""
        weights = self.centre.copy()
        rows, right = self.rows[part], self.right[part]

        def objective(moved: Floats) -> tuple[float, Floats]:
            tried = self.centre.copy()
            tried[columns] = moved
            loss, gradient = _logistic(rows, right, np.ones(len(right)), tried)
            return loss, gradient[columns]

        if columns:
            weights[columns] = _fit(objective, self.centre[columns], self.penalties[columns])
        return weights

    def losses(self, columns: list[int]) -> Floats:
        """The log loss of each question, held out."""
        places = list(range(len(self.right)))
        random.Random(0).shuffle(places)
        losses = np.zeros(len(self.right))
        for fold in range(FOLDS):
            held = places[fold::FOLDS]
            odds = self.rows[held] @ self.fitted(columns, sorted(set(places) - set(held)))
            losses[held] = np.logaddexp(0, odds) - self.right[held] * odds
        return losses

    def chosen(self, choices: dict[str, list[int]], errors: float) -> str:
        """The smallest choice whose loss is within so many standard errors of the best's."""
        losses = {name: self.losses(columns) for name, columns in choices.items()}
        best = min(losses.values(), key=lambda each: float(each.mean()))
        for name, each in losses.items():
            more = each - best
            if more.mean() <= errors * more.std() / np.sqrt(len(more)):
                return name
        raise AssertionError


def main() -> None:
    """Read, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--questions", type=int, nargs="+", default=[2000, 1000, 1000])
    parser.add_argument("--labels", type=int, nargs="+", default=[100, 300])
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--reader", default=DEFAULT_READER)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--cache", type=Path, required=True)
    given = parser.parse_args()
    options = {"model": given.reader, "precision": given.precision, "cache": given.cache}
    own, *others = (
        Sample(readings(file, given.data, count, **options)).labelled
        for file, count in zip(given.data, given.questions, strict=False)
    )
    whole, half = fit_calibration(own), fit_calibration(own[::2])
    pools = [(half, own[1::2]), *((whole, other) for other in others)]
    for title, choices in (("adapting", ADAPTED), ("fresh", FRESH)):
        print(f"\n| {title} | questions | fitted | ECE | log loss | of {given.draws} chosen | least |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for file, (start, pool) in zip(given.data, pools, strict=True):
            for labels in given.labels:
                _show(file.stem, labels, start if title == "adapting" else None, pool, choices, given.draws)


def _show(
    name: str,
    labels: int,
    start: Calibration | None,
    pool: list[Labelled],
    choices: dict[str, list[int]],
    draws: int,
) -> None:
    figures, picked = defaultdict(list), {1.0: Counter[str](), 0.0: Counter[str]()}
    for draw in range(draws):
        # The draws of open_domain.py.
        shuffled = list(pool)
        random.Random(draw).shuffle(shuffled)
        mine, rest = shuffled[:labels], shuffled[labels:]
        problem, stated = _adapting(start, mine, rest) if start is not None else _fresh(mine, rest)
        found = {}
        for choice, columns in choices.items():
            p, right = stated(problem.fitted(columns))
            found[choice] = (expected_calibration_error(p, right), log_loss(p, right))
            figures[choice].append(found[choice])
        for errors, title in ((1.0, "chosen"), (0.0, "least")):
            choice = problem.chosen(choices, errors)
            picked[errors][choice] += 1
            figures[title].append(found[choice])
    for choice, values in figures.items():
        ece, loss = np.mean(values, axis=0)
        counts = [str(counter[choice]) if choice in choices else "" for counter in picked.values()]
        error = f"{ece:.3f} ± {np.std(values, axis=0)[0]:.3f}"
        print(f"| {name} | {labels} | {choice} | {error} | {loss:.4f} | {' | '.join(counts)} |", flush=True)


def _adapting(start: Calibration, mine: list[Labelled], rest: list[Labelled]) -> Prepared:
    p, right, _ = top_answers(start, mine)
    odds = log_odds(p)[:, None]
    new, truth, _ = top_answers(start, rest)
    problem = Problem(_with_bias(odds), right, np.array([1.0, 0.0]), _penalties(odds, _DRAWN, bias=True))
    return problem, lambda weights: (_sigmoid(_with_bias(log_odds(new)[:, None]) @ weights), truth)


def _fresh(mine: list[Labelled], rest: list[Labelled]) -> Prepared:
    whole = fit_calibration(mine)
    features = np.array([question.evidence.found for question in mine])
    held = np.array([float(question.place is not None) for question in mine])
    problem = Problem(_with_bias(features), held, np.zeros(3), _penalties(features, _FREE, bias=True))
    which, exact = whole.weights("which"), whole.weights("exact")
    return problem, lambda weights: top_answers(Calibration.of(weights, which, exact), rest)[:2]


def _sigmoid(odds: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * odds)))


if __name__ == "__main__":
    main()
