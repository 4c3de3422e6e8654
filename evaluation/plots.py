"""Plots of how far scores can be trusted, as SVG to put into a page."""

import importlib.util
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lodestone.components.errors import LodestoneError
from lodestone.evaluation.calibration_metrics import reliability_curve, risk_coverage

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _BLUE, _GREY, _LIGHT = "#1f2933", "#1f6fb2", "#9aa5b1", "#d9e2ec"
_SIZE = (4.6, 4.2)


def require_matplotlib() -> None:
    """Refuse to go on without matplotlib.

    :raises LodestoneError: If it is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise LodestoneError("a report needs matplotlib: pip install 'lodestone[evaluate]'")


def reliability_diagram(probabilities: Sequence[float], right: Sequence[float]) -> "Figure":
    """Stated against true probability in 15 bins of equally many answers, each with its 95 % interval.

    :param probabilities: Stated probabilities.
    :param right: 1.0 for every answer that is right, else 0.0.
    """
    figure, axes = _figure()
    curve = reliability_curve(probabilities, right)
    stated, true = [each.stated for each in curve], np.array([each.right for each in curve])
    spread = 1.96 * np.sqrt(true * (1 - true) / [each.count for each in curve])
    errors = [np.minimum(spread, true), np.minimum(spread, 1 - true)]
    axes.hist(probabilities, bins=20, range=(0, 1), weights=np.full(len(probabilities), 1 / len(probabilities)),
              color=_LIGHT, label="share of the answers")  # fmt: skip
    axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", linewidth=1)
    axes.errorbar(stated, true, yerr=errors, color=_BLUE, marker="o", markersize=4, linewidth=1.4, capsize=2)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="Stated probability", ylabel="Fraction that is right")
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    return figure


def risk_coverage_plot(scores: Sequence[float], right: Sequence[float]) -> "Figure":
    """Fraction of wrong answers over the fraction of the questions that are answered.

    :param scores: The answers' scores.
    :param right: As in `reliability_diagram`.
    """
    figure, axes = _figure()
    curve = risk_coverage(scores, right)
    ideal = np.maximum(0, 1 - np.mean(right) / curve.coverage)
    axes.plot(curve.coverage, ideal, color=_GREY, linestyle="--", linewidth=1, label="best order there is")
    axes.axhline(curve.risk[-1], color=_LIGHT, linewidth=1, label="any order, at random")
    axes.plot(curve.coverage, curve.risk, color=_BLUE, linewidth=1.6, label=f"by score, area {curve.area:.3f}")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="Fraction of the questions answered", ylabel="Fraction that is wrong")
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    return figure


def histogram(values: Sequence[float], name: str) -> "Figure":
    """How a measure is spread over the questions.

    :param values: Its values, 0 to 1.
    :param name: Its name.
    """
    figure, axes = _figure()
    axes.hist(values, bins=20, range=(0, 1), color=_BLUE)
    axes.set(xlim=(0, 1), xlabel=name, ylabel="Questions")
    return figure


def to_svg(figure: "Figure") -> str:
    """A figure as an `<svg>` element, the same every time, its words as text."""
    import matplotlib

    written = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "lodestone"}):
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    text = written.getvalue()
    return text[text.index("<svg") :]


def _figure() -> "tuple[Figure, Axes]":
    require_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=_INK, labelsize=8)
    return figure, axes
