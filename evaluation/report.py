"""The result of an evaluation as one HTML page that needs nothing beside it."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from lodestone.evaluation.labels import heading, sections
from lodestone.evaluation.mistakes import Kind, kinds_of
from lodestone.evaluation.page import page, plots, table, write_page
from lodestone.evaluation.plots import Curve, histogram, reliability_diagram, risk_coverage_plot
from lodestone.evaluation.records import Record
from lodestone.evaluation.results import Result

RELIABILITY = "Reliability: on the dashed line a score of 0.8 means right in 8 of 10 cases. Bars: 95 % intervals."
RISK = "Risk over coverage: how many answers are wrong when only those that score highest are given."
_EXAMPLES = 5
_WORST = 10


def write_report(result: Result, path: Path) -> None:
    """Write the report.

    :param result: The result.
    :param path: The HTML file; what was there before stays until all is written.
    :raises LodestoneError: If matplotlib is not installed.
    """
    write_page(to_html(result), path)


def to_html(result: Result) -> str:
    """The report as a page: the figures, the plots, the kinds of mistakes with examples, and the settings.

    :param result: The result.
    :raises LodestoneError: If matplotlib is not installed.
    """
    shown, details = _of_rankings(result) if result.kind == "retrieval" else _of_answers(result)
    return page(
        f"Evaluation: {result.data['file']}",
        [heading(result)],
        [*shown, f"<h2>Figures</h2>{_figures(result)}", *details],
        {"data": result.data, "settings": result.settings},
    )


def _of_answers(result: Result) -> tuple[list[str], list[str]]:
    """What comes before the figures, and what after them."""
    records = [Record.from_dict(question) for question in result.questions]
    curve = Curve([record.score for record in records], [each["measures"]["right"] for each in result.questions])
    drawn = [(risk_coverage_plot([curve]), RISK)]
    if all(record.calibrated for record in records):
        drawn.insert(0, (reliability_diagram([curve]), RELIABILITY))
    kinds = kinds_of(records, result.settings["no_answer_threshold"], searched=result.kind == "qa")
    shown = [
        f"<h2>Scores of the best quotes</h2>{plots(drawn)}",
        f"<h2>What became of the questions</h2>{_shares(kinds, len(records))}",
    ]
    return shown, ["<h2>Mistakes</h2>", *(_examples(kind) for kind in kinds if kind.wrong)]


def _of_rankings(result: Result) -> tuple[list[str], list[str]]:
    name = next(iter(result.metrics))
    values = [question["measures"][name] for question in result.questions]
    worst = sorted(result.questions, key=lambda question: question["measures"][name])[:_WORST]
    rows = [(question["question"], f"{question['measures'][name]:.3f}") for question in worst]
    return (
        [f"<h2>{escape(name)} by query</h2>{plots([(histogram(values, name), '')])}"],
        [f"<h2>The queries that were served worst</h2>{table(('Query', name), rows)}"],
    )


def _figures(result: Result) -> str:
    rows = []
    for title, figures in sections(result).items():
        rows.append(f'<tr><th colspan="3">{escape(title)}</th></tr>')
        rows += [
            f'<tr><td class="part">{escape(row.label)}</td><td class="number">{escape(row.value)}</td>'
            f'<td class="number dim">{escape(row.interval)}</td></tr>'
            for row in figures
        ]
    head = '<tr><td></td><td></td><td class="number dim">95 % interval</td></tr>'
    return f"<table>{head}{''.join(rows)}</table>"


def _shares(kinds: Sequence[Kind], total: int) -> str:
    rows = []
    for kind in kinds:
        share = len(kind.records) / total
        bar = f'<div class="bar{" wrong" if kind.wrong else ""}" style="width:{share:.1%}"></div>'
        rows.append(
            f'<tr><td>{escape(kind.title)}</td><td class="number">{len(kind.records):,}</td>'
            f'<td class="number">{share:.1%}</td><td style="width:50%">{bar}</td></tr>'
        )
    return f"<table>{''.join(rows)}</table>"


def _examples(kind: Kind) -> str:
    shown = []
    for record in kind.records[:_EXAMPLES]:
        accepted = ", ".join(dict.fromkeys(record.accepted)) or "no answer"
        guess = f"<mark>{escape(record.best)}</mark> ({record.score:.2f})" if record.guesses else "nothing"
        source = f", in {escape(record.guesses[0].source)}" if record.guesses and record.guesses[0].source else ""
        shown.append(
            f"<blockquote><strong>{escape(record.question)}</strong><br>Best quote: {guess}{source}; "
            f"no answer: {record.no_answer_score:.2f}<br>Accepted: {escape(accepted)} "
            f'<span class="about">({escape(record.id)})</span></blockquote>'
        )
    return f"<h3>{escape(kind.title)}: {len(kind.records):,}, the surest first</h3>{''.join(shown)}"
