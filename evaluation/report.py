"""The result of an evaluation as one HTML page that needs nothing beside it."""

import json
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from lodestone.evaluation.labels import heading, sections
from lodestone.evaluation.mistakes import Kind, kinds_of
from lodestone.evaluation.plots import histogram, reliability_diagram, risk_coverage_plot, to_svg
from lodestone.evaluation.records import Record
from lodestone.evaluation.results import Result

_EXAMPLES = 5
_WORST = 10
_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2933; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
p.about { color: #52606d; margin: 0; }
table { border-collapse: collapse; width: 100%; }
td, th { padding: .22rem .6rem; text-align: left; vertical-align: top; }
tr { border-bottom: 1px solid #e4e7eb; } th { font-weight: 600; color: #52606d; }
td.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; } td.dim { color: #7b8794; }
td.part { white-space: pre-wrap; }
.plots { display: flex; flex-wrap: wrap; gap: 1.5rem; } figure { margin: 0; flex: 1 1 24rem; }
figure svg { width: 100%; height: auto; } figcaption { color: #52606d; font-size: .9rem; }
.bar { background: #d9e2ec; height: .7rem; margin-top: .35rem; } .bar.wrong { background: #f0b429; }
blockquote { margin: .3rem 0 .8rem; padding-left: .8rem; border-left: 3px solid #d9e2ec; }
mark { background: #fff3c4; } pre { background: #f5f7fa; padding: .8rem; overflow-x: auto; font-size: .85rem; }
"""


def write_report(result: Result, path: Path) -> None:
    """Write the report.

    :param result: The result.
    :param path: The HTML file; what was there before stays until all is written.
    :raises LodestoneError: If matplotlib is not installed.
    """
    partial = path.with_name(f"{path.name}.new")
    partial.write_text(to_html(result), encoding="utf-8")
    partial.replace(path)


def to_html(result: Result) -> str:
    """The report as a page: the figures, the plots, the kinds of mistakes with examples, and the settings.

    :param result: The result.
    :raises LodestoneError: If matplotlib is not installed.
    """
    shown, details = _of_rankings(result) if result.kind == "retrieval" else _of_answers(result)
    described = json.dumps({"data": result.data, "settings": result.settings}, indent=2, ensure_ascii=False)
    title = escape(f"Evaluation: {result.data['file']}")
    return "\n".join(
        [
            "<!DOCTYPE html>",
            f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<style>{_STYLE}</style></head><body>",
            f'<h1>{title}</h1><p class="about">{escape(heading(result))}</p>',
            *shown,
            f"<h2>Figures</h2>{_figures(result)}",
            *details,
            f"<h2>What was run</h2><pre>{escape(described)}</pre>",
            "</body></html>\n",
        ]
    )


def _of_answers(result: Result) -> tuple[list[str], list[str]]:
    """What comes before the figures, and what after them."""
    records = [Record.from_dict(question) for question in result.questions]
    right = [question["measures"]["right"] for question in result.questions]
    scores = [record.score for record in records]
    caption = "Risk over coverage: how many answers are wrong when only those that score highest are given."
    plots = [_plot(to_svg(risk_coverage_plot(scores, right)), caption)]
    if all(record.calibrated for record in records):
        caption = "Reliability: on the dashed line a score of 0.8 means right in 8 of 10 cases. Bars: 95 % intervals."
        plots.insert(0, _plot(to_svg(reliability_diagram(scores, right)), caption))
    kinds = kinds_of(records, result.settings["no_answer_threshold"], searched=result.kind == "qa")
    shown = [
        f'<h2>Scores of the best quotes</h2><div class="plots">{"".join(plots)}</div>',
        f"<h2>What became of the questions</h2>{_shares(kinds, len(records))}",
    ]
    return shown, ["<h2>Mistakes</h2>", *(_examples(kind) for kind in kinds if kind.wrong)]


def _of_rankings(result: Result) -> tuple[list[str], list[str]]:
    name = next(iter(result.metrics))
    values = [question["measures"][name] for question in result.questions]
    worst = sorted(result.questions, key=lambda question: question["measures"][name])[:_WORST]
    rows = [(question["question"], f"{question['measures'][name]:.3f}") for question in worst]
    return (
        [f'<h2>{escape(name)} by query</h2><div class="plots">{_plot(to_svg(histogram(values, name)), "")}</div>'],
        [f"<h2>The queries that were served worst</h2>{_table(('Query', name), rows)}"],
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


def _table(head: Sequence[str], rows: Iterable[tuple[str, str]]) -> str:
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    cells = "".join(f'<tr><td>{escape(text)}</td><td class="number">{escape(value)}</td></tr>' for text, value in rows)
    return f"<table><tr>{titles}</tr>{cells}</table>"


def _plot(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"
