"""Two runs over the same questions as one HTML page."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from lodestone.evaluation.comparing import Compared, note, pair
from lodestone.evaluation.labels import label, questions
from lodestone.evaluation.page import page, plots, table, write_page
from lodestone.evaluation.partial import Entry
from lodestone.evaluation.plots import Curve, histogram, interval_plot, reliability_diagram, risk_coverage_plot
from lodestone.evaluation.records import Record
from lodestone.evaluation.report import RELIABILITY, RISK
from lodestone.evaluation.results import RANKINGS, Result

_EXAMPLES = 10
_LESS_IS_BETTER = (
    "of Brier score, log loss, calibration error and the area under the risk-coverage curve less is better"
)

Pairs = Sequence[tuple[Entry, Entry]]


def write_comparison(
    first: Result, second: Result, compared: Sequence[Compared], names: tuple[str, str], path: Path
) -> None:
    """Write the page.

    :param first: One run, A.
    :param second: The other, B.
    :param compared: What `compare` gave for them.
    :param names: What the runs are called.
    :param path: The HTML file; what was there before stays until all is written.
    :raises LodestoneError: If matplotlib is not installed.
    """
    write_page(comparison_html(first, second, compared, names), path)


def comparison_html(first: Result, second: Result, compared: Sequence[Compared], names: tuple[str, str]) -> str:
    """The comparison as a page: differences, plots of both, and the questions that only one of them gets right.

    :param first: As in `write_comparison`.
    :param second: As there.
    :param compared: As there.
    :param names: As there.
    :raises LodestoneError: If matplotlib is not installed.
    """
    pairs = pair(first, second)
    shown = _rankings(pairs, compared[0].name) if first.kind == RANKINGS else _answers(first, second, pairs)
    return page(
        f"Comparison: {first.data['file']}",
        [f"A: {names[0]}", f"B: {names[1]}", f"{questions(len(pairs))} in both", *filter(None, [note(first, second)])],
        [f"<h2>Differences</h2>{_differences(compared)}", *shown],
        {
            each: {"result": name, "data": result.data, "settings": result.settings}
            for each, name, result in zip("AB", names, (first, second), strict=True)
        },
    )


def _differences(compared: Sequence[Compared]) -> str:
    head = ("Measure", "Questions", "A", "B", "B - A", "95 % interval", "p")
    rows = [
        (
            label(each.name),
            f"{each.count:,}",
            f"{each.first:.3f}",
            f"{each.second:.3f}",
            f"{each.difference.difference:+.3f}",
            f"{each.difference.low:+.3f} to {each.difference.high:+.3f}",
            "" if each.difference.p_value is None else f"{each.difference.p_value:.4f}",
        )
        for each in compared
    ]
    drawn = interval_plot(
        [label(each.name) for each in compared],
        [(each.difference.difference, each.difference.low, each.difference.high) for each in compared],
    )
    caption = f"Differences with their 95 % intervals, grey where these hold 0; {_LESS_IS_BETTER}."
    return plots([(drawn, caption)]) + table(head, rows)


def _answers(first: Result, second: Result, pairs: Pairs) -> list[str]:
    runs = [[Record.from_dict(each) for each in run] for run in zip(*pairs, strict=True)]
    curves = [
        Curve([record.score for record in records], [each["measures"]["right"] for each in run], name)
        for records, run, name in zip(runs, zip(*pairs, strict=True), "AB", strict=True)
    ]
    drawn = [(risk_coverage_plot(curves), RISK)]
    if all(record.calibrated for records in runs for record in records):
        drawn.insert(0, (reliability_diagram(curves), RELIABILITY))
    said = [
        [_said(record, result.settings["no_answer_threshold"]) for record in records]
        for records, result in zip(runs, (first, second), strict=True)
    ]
    right = [(a["measures"]["exact"] > 0, b["measures"]["exact"] > 0) for a, b in pairs]
    parts = [f"<h2>Scores of the best quotes</h2>{plots(drawn)}", f"<h2>Right and wrong</h2>{_outcomes(right)}"]
    for title, kind, wrong in (("A", (True, False), 1), ("B", (False, True), 0)):
        places = [place for place, each in enumerate(right) if each == kind]
        # The surest mistakes of the one that is wrong come first.
        places.sort(key=lambda place: -said[wrong][place][1])
        parts.append(f"<h2>Only {title} is right: {len(places):,}</h2>")
        parts += [_example(runs[0][place], said[0][place][0], said[1][place][0]) for place in places[:_EXAMPLES]] or [
            "<p>None.</p>"
        ]
    return parts


def _said(record: Record, threshold: float) -> tuple[str, float]:
    """What a run answered, as HTML, and how sure it was of it."""
    none = f"no answer: {record.no_answer:.2f}"
    if record.no_answer > threshold or not record.guesses:
        quote = f", best quote: {escape(record.best)} ({record.score:.2f})" if record.guesses else ""
        return f"<mark>no answer</mark> ({record.no_answer:.2f}){quote}", record.no_answer
    return f"<mark>{escape(record.best)}</mark> ({record.score:.2f}), {none}", record.score


def _outcomes(right: Sequence[tuple[bool, bool]]) -> str:
    kinds = {"both": (True, True), "only A": (True, False), "only B": (False, True), "neither": (False, False)}
    counts = [(f"{name} right", right.count(kind)) for name, kind in kinds.items()]
    rows = [(name.capitalize(), f"{count:,}", f"{count / len(right):.1%}") for name, count in counts]
    return table(("An exact match, or rightly given none", "Questions", "Share"), rows)


def _example(record: Record, first: str, second: str) -> str:
    accepted = ", ".join(dict.fromkeys(record.accepted)) or "no answer"
    return (
        f"<blockquote><strong>{escape(record.question)}</strong><br>A: {first}<br>B: {second}<br>"
        f'Accepted: {escape(accepted)} <span class="about">({escape(record.id)})</span></blockquote>'
    )


def _rankings(pairs: Pairs, name: str) -> list[str]:
    values = [(a["question"], a["measures"][name], b["measures"][name]) for a, b in pairs if name in b["measures"]]
    values.sort(key=lambda each: each[2] - each[1])
    drawn = histogram([b - a for _, a, b in values], f"{name} of B less that of A", lowest=-1)
    parts = [f"<h2>{escape(name)} by query</h2>{plots([(drawn, '')])}"]
    for better, chosen in (
        ("A", [each for each in values if each[1] > each[2]]),
        ("B", [each for each in values[::-1] if each[2] > each[1]]),
    ):
        rows = [(query, f"{a:.3f}", f"{b:.3f}") for query, a, b in chosen[:_EXAMPLES]]
        parts.append(f"<h2>{better} ranks better: {len(chosen):,}</h2>{table(('Query', 'A', 'B'), rows)}")
    return parts
