"""A job's report as text and as a page."""

import html
import json
from pathlib import Path

from lodestone.indexing.report import Report

_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:64em;padding:0 1em}"
    "h1{margin-bottom:0}h2{font-size:1.1em;margin:2em 0 .3em}"
    ".index{margin-top:0;overflow-wrap:anywhere;opacity:.7}"
    "dl{display:flex;flex-wrap:wrap;gap:.5em 2.5em;margin:1.5em 0}"
    "dl div{display:flex;flex-direction:column-reverse}"
    "dt{opacity:.7}dd{margin:0;font-size:1.5em;font-variant-numeric:tabular-nums}"
    ".bad dd{color:#c62828}"
    ".warning{border-left:.3em solid #e0a800;padding:.1em .8em}"
    "table{border-collapse:collapse;width:100%;table-layout:fixed}"
    "td{border-top:1px solid #8884;padding:.3em .8em .3em 0;vertical-align:top;overflow-wrap:anywhere}"
    "td.number{text-align:right;width:7em;padding-right:0;font-variant-numeric:tabular-nums}"
)


def as_text(report: Report) -> str:
    """The report for a terminal: what was done in a line, then what was not, a line a file.

    :param report: The report.
    """
    verb = "Stopped after indexing" if report.stopped else "Indexed"
    counts = [f"{verb} {_counted(report.indexed, 'file')} ({_counted(report.passages, 'passage')})"]
    counts += [_copies(len(report.duplicates))] if report.duplicates else []
    counts += [f"{report.unchanged} unchanged"] if report.unchanged else []
    counts += [f"{report.deleted} gone and deleted"] if report.deleted else []
    counts += [f"{len(report.failed)} failed"] if report.failed else []
    counts += [f"{len(report.skipped)} skipped"] if report.skipped else []
    lines = [f"{', '.join(counts)} in {report.seconds:.1f} s."]
    lines += [f"  Failed: {outcome.path}: {outcome.reason}" for outcome in report.other_failures]
    lines += [f"  Encrypted: {outcome.path}" for outcome in report.encrypted]
    lines += [f"  Needs OCR: {outcome.path}" for outcome in report.needs_ocr]
    lines += [f"  Skipped: {outcome.path}: {outcome.reason}" for outcome in report.skipped]
    lines += [f"  Warning: {warning}" for warning in report.warnings]
    return "\n".join(lines)


def as_html(report: Report, index: str) -> str:
    """The report as a page of its own: figures, what was not indexed and why, and what took longest.

    :param report: The report.
    :param index: The index, as the user calls it.
    """
    title = "Indexing, stopped early" if report.stopped else "Indexing"
    parts = [f"<h1>{title}</h1>", f'<p class="index">into {html.escape(index)}', _figures(report)]
    parts += [f'<p class="warning">{html.escape(warning)}' for warning in report.warnings]
    for heading, outcomes in (
        ("Failed", report.other_failures),
        ("Encrypted: save without a password first", report.encrypted),
        ("Scanned: run OCR first", report.needs_ocr),
        ("Skipped", report.skipped),
    ):
        parts.append(_table(heading, [(outcome.path, outcome.reason) for outcome in outcomes]))
    parts.append(_table("Copies of other files", [(copy.path, f"of {copy.copy_of}") for copy in report.duplicates]))
    slowest = [(path, f"{seconds:.1f} s") for path, seconds in report.slowest]
    parts.append(_table("Slowest to convert", slowest, numbers=True))
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}: {html.escape(index)}</title><style>{_STYLE}</style>{''.join(parts)}</html>\n"
    )


def write_report(report: Report, file: Path, index: str) -> None:
    """Write a report to a file.

    :param report: The report.
    :param file: The file: a page if its name ends in .html, JSON if in .json, else text.
    :param index: The index, as the user calls it.
    """
    match file.suffix.lower():
        case ".html":
            text = as_html(report, index)
        case ".json":
            text = json.dumps({**report.to_dict(), "index": index}, ensure_ascii=False, indent=2) + "\n"
        case _:
            text = as_text(report) + "\n"
    file.write_text(text, encoding="utf-8", errors="replace")


def _figures(report: Report) -> str:
    """What was done in numbers; those of failures stand out."""
    figures = [
        ("files indexed", f"{report.indexed:,}", ""),
        ("unchanged", f"{report.unchanged:,}", ""),
        ("gone and deleted", f"{report.deleted:,}", ""),
        ("failed", f"{len(report.failed):,}", ' class="bad"'),
        ("skipped", f"{len(report.skipped):,}", ""),
        ("MB read", f"{report.size / 1e6:,.1f}", ""),
        ("passages", f"{report.passages:,}", ""),
        ("passages/s", f"{report.passages_per_second:,.0f}", ""),
        ("seconds", f"{report.seconds:,.1f}", ""),
    ]
    optional = ("unchanged", "gone and deleted", "failed", "skipped")
    shown = [figure for figure in figures if figure[0] not in optional or figure[1] != "0"]
    return f"<dl>{''.join(f'<div{kind}><dt>{name}</dt><dd>{value}</dd></div>' for name, value, kind in shown)}</dl>"


def _table(heading: str, rows: list[tuple[str, str]], numbers: bool = False) -> str:
    kind = ' class="number"' if numbers else ""
    cells = "".join(f"<tr><td>{html.escape(name)}<td{kind}>{html.escape(text)}" for name, text in rows)
    return f"<h2>{html.escape(heading)} ({len(rows):,})</h2><table>{cells}</table>" if rows else ""


def _copies(number: int) -> str:
    return "1 copy of another file" if number == 1 else f"{number:,} copies of other files"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
