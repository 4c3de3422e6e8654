"""What was tried to calibrate answers on domains without labels, and to rank them better, and is not built in.

    python benchmarks/open_domain_tried.py --data dev-v2.0.json reddit.json tales.json --cache FOLDER

Data and cache are those of open_domain.py. Everything is fitted on the first file (its own questions: on the other
half of them). Unanswerable questions may count less; "margins only" leaves ranks and shares of words out of `found` and
`which`. "EM" estimates how often answers are right, or found, from the unlabelled scores (Saerens, Latinne &
Decaestecker 2002); a second stage is fitted to our probability, held out, with further features of the best answer.
"""

import argparse
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from open_domain_readings import readings
from open_domain_rules import Floats, Sample, best_margin, isotonic, logistic, platt

from lodestone.components.models import DEFAULT_READER
from lodestone.components.readers.calibration import Calibration, log_odds
from lodestone.evaluation.calibration import Labelled, fit_calibration, top_answers
from lodestone.evaluation.calibration_metrics import BINS
from lodestone.evaluation.tally import Scored

KINDS = ("who", "what", "when", "where", "which", "why", "how")
GROUPS = {"": (), "agreement": (0,), "BM25": (1,), "kind of question": (2,), "our features": (3,), "all": (0, 1, 2, 3)}
Fitted = Callable[[Floats], Floats]


def main() -> None:
    """Read, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--questions", type=int, nargs="+", default=[2000, 1000, 1000])
    parser.add_argument("--reader", default=DEFAULT_READER)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--cache", type=Path, required=True)
    given = parser.parse_args()
    options = {"model": given.reader, "precision": given.precision, "cache": given.cache}
    own, *others = (
        Sample(readings(file, given.data, count, **options))
        for file, count in zip(given.data, given.questions, strict=False)
    )
    places = list(range(len(own)))
    random.Random(1).shuffle(places)
    halves = [own.part(places[::2]), own.part(places[1::2])]
    by_halves = [fit_calibration(half.labelled) for half in halves]
    whole = fit_calibration(own.labelled)
    print("AUROC, coverage at 80 % right, ECE\n")
    print("| | " + " | ".join(file.stem for file in given.data) + " |\n| --- |" + " --- |" * len(given.data))

    def show(name: str, answer: Callable[[Calibration, Sample, Sample], Floats]) -> None:
        show_with_truth(name, lambda *given: (answer(*given), top_answers(given[0], given[2].labelled)[1]))

    def show_with_truth(name: str, answer: Callable[[Calibration, Sample, Sample], tuple[Floats, Floats]]) -> None:
        crossed = [answer(by_halves[1 - n], halves[1 - n], halves[n]) for n in (0, 1)]
        cells = [_cell(np.concatenate([p for p, _ in crossed]), np.concatenate([right for _, right in crossed]))]
        cells += [_cell(*answer(whole, own, other)) for other in others]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)

    show("ours", lambda fitted, seen, new: top_answers(fitted, new.labelled)[0])
    for share in (0.7, 0.5):
        show_with_truth(f"unanswerable ones count {share}", _refitted(share))
        show_with_truth(f"margins only, unanswerable ones count {share}", _refitted(share, _margins_only))
    show_with_truth("margins only", _refitted(1.0, _margins_only))
    show_with_truth("Platt on the best margin", _platt_on_margin)
    show("EM on right", _shifted_right)
    show("EM on found", _shifted_found)
    held = [(_features(by_halves[1 - n], halves[n]), top_answers(by_halves[1 - n], halves[n].labelled)) for n in (0, 1)]

    def second(fit: Callable[[Floats, Floats], Fitted], chosen: tuple[int, ...]) -> Callable[..., Floats]:
        def answer(fitted: Calibration, seen: Sample, new: Sample) -> Floats:
            known = held if seen is own else [held[halves.index(seen)]]
            rows = np.concatenate([_columns(features, chosen) for features, _ in known])
            right = np.concatenate([top[1] for _, top in known])
            return fit(rows, right)(_columns(_features(fitted, new), chosen))

        return answer

    show("isotonic", second(lambda x, y: lambda new: isotonic(x[:, 0], y, new[:, 0]), ()))
    for title, fit in (("logistic", _logistic), ("boosted", _boosted)):
        for name, chosen in GROUPS.items():
            show(f"{title} over our probability{' and ' if name else ''}{name}", second(fit, chosen))


def _cell(scores: Floats, right: Floats) -> str:
    tally = Scored(scores, right).tally()
    return f"{tally.auroc()[0]:.3f}, {tally.coverage(0.8)[0]:.3f}, {tally.calibration_error(BINS)[0]:.3f}"


def _refitted(
    share: float, change: Callable[[Labelled], Labelled] = lambda question: question
) -> Callable[[Calibration, Sample, Sample], tuple[Floats, Floats]]:
    """Fitted anew, with unanswerable questions that count less, and perhaps with other features."""

    def answer(fitted: Calibration, seen: Sample, new: Sample) -> tuple[Floats, Floats]:
        weights = np.where(seen.answerable, 1.0, share).tolist()
        again = fit_calibration([change(question) for question in seen.labelled], weights=weights)
        stated, right, _ = top_answers(again, [change(question) for question in new.labelled])
        return stated, right

    return answer


def _margins_only(question: Labelled) -> Labelled:
    """Neither ranks nor shares of words in `found` and `which`."""
    evidence = question.evidence
    found, which = np.zeros_like(evidence.found), np.zeros_like(evidence.which)
    found[0], which[:, 0] = evidence.found[0], evidence.which[:, 0]
    return replace(question, evidence=replace(evidence, found=found, which=which))


def _platt_on_margin(fitted: Calibration, seen: Sample, new: Sample) -> tuple[Floats, Floats]:
    known, found = best_margin(seen), best_margin(new)
    return logistic(found.scores, *platt(known.scores, seen.exact(known.texts))), new.exact(found.texts)


def _shifted(p: Floats, before: float) -> Floats:
    share, moved = before, p
    for _ in range(200):
        likelier, rarer = share / before, (1 - share) / (1 - before)
        moved = p * likelier / (p * likelier + (1 - p) * rarer)
        share = float(moved.mean())
    return moved


def _shifted_right(fitted: Calibration, seen: Sample, new: Sample) -> Floats:
    return _shifted(top_answers(fitted, new.labelled)[0], top_answers(fitted, seen.labelled)[1].mean())


def _shifted_found(fitted: Calibration, seen: Sample, new: Sample) -> Floats:
    p, _, none = top_answers(fitted, new.labelled)
    before = float(np.mean([question.place is not None for question in seen.labelled]))
    return p * _shifted(1 - none, before) / np.maximum(1 - none, 1e-9)


def _features(fitted: Calibration, sample: Sample) -> list[list[list[float]]]:
    """For each question the log odds of its best answer, and the groups of further features."""
    rows = []
    for reading, labelled, merged in zip(sample.readings, sample.labelled, sample.merged, strict=True):
        evidence = labelled.evidence
        found = fitted.distribution(evidence)
        best = int(found.answers.argmax())
        shares = found.places / max(1 - found.none, 1e-9)
        lead = np.append(np.sort(shares), 0)[[-2, -3] if len(shares) > 1 else [0, -1]]
        quotes = merged[best].quotes
        scores = [passage.score or 0.0 for passage in reading.passages]
        own = quotes[0].document.score or 0.0
        words = reading.question.text.lower().split()
        rows.append(
            [
                [float(log_odds(found.answers[best]))],
                [np.log(len(quotes)), float(len({quote.document.id for quote in quotes}) > 1), lead[0] - lead[1]],
                [own, scores[0] - scores[min(1, len(scores) - 1)], own / max(scores[0], 1e-9), float(np.std(scores))],
                [float(kind in words) for kind in KINDS],
                [*evidence.which[best], *evidence.exact[best], evidence.found[1], np.log1p(len(words))],
            ]
        )
    return rows


def _columns(rows: list[list[list[float]]], chosen: tuple[int, ...]) -> Floats:
    return np.array([np.concatenate([row[0], *(row[1 + group] for group in chosen)]) for row in rows])


def _logistic(rows: Floats, right: Floats) -> Fitted:
    from sklearn.linear_model import LogisticRegression

    middle, spread = rows.mean(axis=0), rows.std(axis=0) + 1e-9
    fitted = LogisticRegression(C=0.3, max_iter=2000).fit((rows - middle) / spread, right)
    return lambda new: np.asarray(fitted.predict_proba((new - middle) / spread)[:, 1])


def _boosted(rows: Floats, right: Floats) -> Fitted:
    from sklearn.ensemble import HistGradientBoostingClassifier

    options = {"max_depth": 3, "max_iter": 60, "learning_rate": 0.06, "min_samples_leaf": 30, "l2_regularization": 5}
    fitted = HistGradientBoostingClassifier(random_state=0, **options).fit(rows, right)
    return lambda new: np.asarray(fitted.predict_proba(new)[:, 1])


if __name__ == "__main__":
    main()
