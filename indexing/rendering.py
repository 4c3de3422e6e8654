"""A job's report as text and as a page."""

import html
import json
from collections.abc import Iterable
from pathlib import Path

from lodestone.indexing.report import Report

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:60em;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;width:100%}"
    "td{border-top:1px solid #ddd;padding:.3em .8em .3em 0;vertical-align:top}"
    "td:first-child{overflow-wrap:anywhere}"
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


def as_html(report: Report) -> str:
    """The report as a page of its own, with what failed and what was slowest.

    :param report: The report.
    """
    parts = [f"<p>{html.escape(as_text(report).splitlines()[0])}</p>"]
    parts += [f"<p>{html.escape(warning)}</p>" for warning in report.warnings]
    for title, outcomes in (
        ("Failed", report.other_failures),
        ("Encrypted: save without a password first", report.encrypted),
        ("Scanned: run OCR first", report.needs_ocr),
        ("Skipped", report.skipped),
    ):
        parts += _table(title, ((outcome.path, outcome.reason) for outcome in outcomes))
    parts += _table("Copies of other files", ((copy.path, f"of {copy.copy_of}") for copy in report.duplicates))
    parts += _table("Slowest", ((path, f"{seconds:.1f} s") for path, seconds in report.slowest))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Indexing report</title><style>{_STYLE}</style>'
        f"<h1>Indexing report</h1>{''.join(parts)}</html>\n"
    )


def write_report(report: Report, file: Path) -> None:
    """Write a report to a file.

    :param report: The report.
    :param file: The file: a page if its name ends in .html, JSON if in .json, else text.
    """
    match file.suffix.lower():
        case ".html":
            text = as_html(report)
        case ".json":
            text = json.dumps(report.to_dict(), ensure_ascii=False, indent=2) + "\n"
        case _:
            text = as_text(report) + "\n"
    file.write_text(text, encoding="utf-8", errors="replace")


def _table(title: str, rows: Iterable[tuple[str, str]]) -> list[str]:
    cells = [f"<tr><td>{html.escape(name)}<td>{html.escape(text)}" for name, text in rows]
    return [f"<h2>{html.escape(title)} ({len(cells)})</h2><table>{''.join(cells)}</table>"] if cells else []


def _copies(number: int) -> str:
    return "1 copy of another file" if number == 1 else f"{number:,} copies of other files"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
