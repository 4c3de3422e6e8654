"""What scores are worth: the figures that are no means over questions, with their intervals."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lodestone.evaluation.bootstrap import Difference, Figures, interval_around, resampled
from lodestone.evaluation.calibration_metrics import BINS, error_of_perfect
from lodestone.evaluation.records import Record
from lodestone.evaluation.tally import Scored, Tally

ACCURACIES = (0.8, 0.9)
THRESHOLDS = (0.7, 0.8, 0.9)
# A calibration error has a floor above 0 that resamples lift further.
_LIFTED = "ece"

Reckoned = Callable[[NDArray[np.float64] | None], dict[str, NDArray[np.float64]]]


def score_figures(
    records: Sequence[Record], right: Sequence[float]
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """How well scores tell right quotes and unanswerable questions, and how far probabilities can be trusted.

    :param records: What was answered.
    :param right: Whether each best quote is right, 1.0 or 0.0.
    :returns: The figures by name, and their 95 % intervals; those of probabilities only where all are calibrated.
    """
    calibrated = all(record.calibrated for record in records)
    reckon = _reckoner(records, right, calibrated=calibrated)
    figures = {name: float(values[0]) for name, values in reckon(None).items() if not np.isnan(values[0])}
    intervals = {}
    for name, values in resampled(reckon, len(records)).items():
        ends = _interval(name, figures[name], values) if name in figures else None
        if ends is not None:
            intervals[name] = ends
    if calibrated:
        perfect, *between = error_of_perfect([record.score for record in records])
        figures["ece_of_perfect"], intervals["ece_of_perfect"] = perfect, (between[0], between[1])
    return figures, intervals


def score_differences(
    first: tuple[Sequence[Record], Sequence[float]], second: tuple[Sequence[Record], Sequence[float]]
) -> dict[str, tuple[float, float, Difference]]:
    """The figures of two runs over the same questions, and the second's less the first's with its interval.

    :param first: One run's records and whether their best quotes are right.
    :param second: The other's, in the same order.
    :returns: By name the first's figure, the second's, and their difference, which has no p-value.
    """
    calibrated = all(record.calibrated for records, _ in (first, second) for record in records)
    one, other = (_reckoner(records, right, calibrated=calibrated) for records, right in (first, second))

    def both(drawn: NDArray[np.float64]) -> Figures:
        a, b = one(drawn), other(drawn)
        return {name: b[name] - a[name] for name in a}

    a, b = one(None), other(None)
    found = {}
    for name, values in resampled(both, len(first[0])).items():
        difference = float(b[name][0] - a[name][0])
        ends = None if np.isnan(difference) else interval_around(difference, values, shifted=name == _LIFTED)
        if ends is not None:
            found[name] = (float(a[name][0]), float(b[name][0]), Difference(difference, *ends))
    return found


def _interval(name: str, value: float, values: NDArray[np.float64]) -> tuple[float, float] | None:
    ends = interval_around(value, values, shifted=name == _LIFTED)
    return (max(ends[0], 0.0), ends[1]) if ends is not None and name == _LIFTED else ends


def _reckoner(records: Sequence[Record], right: Sequence[float], *, calibrated: bool) -> Reckoned:
    quotes = Scored([record.score for record in records], right)
    emptiness = Scored([record.emptiness for record in records], [not record.accepted for record in records])

    def reckon(drawn: NDArray[np.float64] | None) -> dict[str, NDArray[np.float64]]:
        empty = emptiness.tally(drawn)
        figures = {"no_answer_auroc": empty.auroc(), "no_answer_average_precision": empty.average_precision()}
        return figures | _of_quotes(quotes.tally(drawn), calibrated=calibrated)

    return reckon


def _of_quotes(tally: Tally, *, calibrated: bool) -> dict[str, Any]:
    figures = {"right_auroc": tally.auroc(), "aurc": tally.risk_area()}
    figures |= {f"coverage_at_{accuracy}": tally.coverage(accuracy) for accuracy in ACCURACIES}
    if calibrated:
        figures["ece"] = tally.calibration_error(BINS)
        for p in THRESHOLDS:
            figures[f"above_{p}"], figures[f"right_above_{p}"] = tally.above(p)
    return figures
