"""Plots of how far scores can be trusted, as SVG to put into a page."""

import importlib.util
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lodestone.components.errors import LodestoneError
from lodestone.evaluation.calibration_metrics import reliability_curve, risk_coverage
from lodestone.evaluation.tally import Float64Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _BLUE, _RUST, _GREY, _LIGHT = "#1f2933", "#1f6fb2", "#b4451f", "#9aa5b1", "#d9e2ec"
# Of the curves in one plot: told apart by colour, marker and line, so in print too.
_STYLES = ((_BLUE, "o", "-"), (_RUST, "s", "-."))
_SIZE = (4.6, 4.2)


@dataclass(frozen=True)
class Curve:
    """The scored answers of one run.

    :param scores: The answers' scores.
    :param right: 1.0 for every answer that is right, else 0.0.
    :param name: What the run is called; "" where there is only one.
    """

    scores: Sequence[float]
    right: Sequence[float]
    name: str = ""


def require_matplotlib() -> None:
    """Refuse to go on without matplotlib.

    :raises LodestoneError: If it is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise LodestoneError("a report needs matplotlib: pip install 'lodestone[evaluate]'")


def reliability_diagram(curves: Sequence[Curve]) -> "Figure":
    """Stated against true probability in 15 bins of equally many answers, each with its 95 % interval.

    :param curves: One run or two, whose scores are probabilities.
    """
    figure, axes = _figure()
    axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", linewidth=1)
    for number, (curve, (color, marker, line)) in enumerate(zip(curves, _STYLES, strict=False)):
        bins = reliability_curve(curve.scores, curve.right)
        stated, true = [each.stated for each in bins], np.array([each.right for each in bins])
        low, high = _wilson(true, np.array([each.count for each in bins]))
        errors = [np.maximum(true - low, 0), np.maximum(high - true, 0)]
        share = np.full(len(curve.scores), 1 / len(curve.scores))
        outline = {"histtype": "step", "color": color, "alpha": 0.5} if len(curves) > 1 else {"color": _LIGHT}
        axes.hist(curve.scores, bins=20, range=(0, 1), weights=share, zorder=number,
                  label=_named("share of the answers", curve), **outline)  # fmt: skip
        axes.errorbar(stated, true, yerr=errors, color=color, marker=marker, linestyle=line, markersize=4,
                      linewidth=1.4, capsize=2, label=curve.name or None)  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="Stated probability", ylabel="Fraction that is right")
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    return figure


def risk_coverage_plot(curves: Sequence[Curve]) -> "Figure":
    """Fraction of wrong answers over the fraction of the questions that are answered.

    :param curves: One run or two.
    """
    figure, axes = _figure()
    for curve, (color, _, line) in zip(curves, _STYLES, strict=False):
        found = risk_coverage(curve.scores, curve.right)
        ideal = np.maximum(0, 1 - np.mean(curve.right) / found.coverage)
        dim = color if len(curves) > 1 else _GREY
        axes.plot(found.coverage, ideal, color=dim, linestyle="--", linewidth=0.8,
                  label=_named("best order there is", curve))  # fmt: skip
        if len(curves) == 1:
            axes.axhline(found.risk[-1], color=_LIGHT, linewidth=1, label="any order, at random")
        axes.plot(found.coverage, found.risk, color=color, linestyle=line, linewidth=1.6,
                  label=_named(f"by score, area {found.area:.3f}", curve))  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="Fraction of the questions answered", ylabel="Fraction that is wrong")
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    return figure


def histogram(values: Sequence[float], name: str, lowest: float = 0) -> "Figure":
    """How a measure is spread over the questions.

    :param values: Its values, `lowest` to 1.
    :param name: Its name.
    :param lowest: The lowest value that it can have.
    """
    figure, axes = _figure()
    axes.hist(values, bins=20, range=(lowest, 1), color=_BLUE)
    axes.set(xlim=(lowest, 1), xlabel=name, ylabel="Questions")
    return figure


def interval_plot(names: Sequence[str], intervals: Sequence[tuple[float, float, float]]) -> "Figure":
    """Differences with their intervals, one line each, from the top; those that leave out 0 are drawn in full.

    :param names: What they are differences of.
    :param intervals: Difference, lower and upper end.
    """
    figure, axes = _figure()
    figure.set_size_inches(_SIZE[0] * 2, 0.5 + 0.26 * len(names))
    axes.axvline(0, color=_GREY, linestyle="--", linewidth=1)
    for place, (value, low, high) in enumerate(intervals):
        color = _BLUE if low > 0 or high < 0 else _GREY
        axes.plot([low, high], [place, place], color=color, linewidth=1.6, solid_capstyle="butt")
        axes.plot([value], [place], color=color, marker="o", markersize=4)
    axes.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5), xlabel="B - A")
    return figure


def to_svg(figure: "Figure") -> str:
    """A figure as an `<svg>` element, the same every time, its words as text."""
    import matplotlib

    written = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "lodestone"}):
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    text = written.getvalue()
    return text[text.index("<svg") :]


def _wilson(fraction: Float64Array, count: NDArray[np.int64]) -> tuple[Float64Array, Float64Array]:
    """95 % intervals of fractions (Wilson 1927), which have a width where none or all of a few answers are right too.

    :param fraction: The fractions.
    :param count: Of how many each.
    :returns: Lower and upper ends.
    """
    z = 1.96
    middle = (fraction + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z * np.sqrt(fraction * (1 - fraction) / count + z**2 / (4 * count**2)) / (1 + z**2 / count)
    return middle - half, middle + half


def _named(text: str, curve: Curve) -> str:
    return f"{curve.name}: {text}" if curve.name else text


def _figure() -> "tuple[Figure, Axes]":
    require_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=_INK, labelsize=8)
    return figure, axes
