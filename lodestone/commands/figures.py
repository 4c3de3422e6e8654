"""Figures of evaluations as a person reads them in a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from lodestone.components.readers.calibration import Calibration
    from lodestone.evaluation.comparing import Compared
    from lodestone.evaluation.results import Result


def print_result(result: "Result", out: Console) -> None:
    """Print the figures of a result, section by section.

    :param result: The result.
    :param out: Where to print.
    """
    from lodestone.evaluation.labels import heading, sections

    out.print()
    out.print(Text(f" {heading(result)}", style="bold"))
    table = Table(box=None, pad_edge=True, show_header=True, header_style="dim")
    table.add_column("", overflow="fold")
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("95 % interval", justify="right", no_wrap=True)
    for title, rows in sections(result).items():
        table.add_row()
        table.add_row(Text(title, style="bold cyan"))
        for row in rows:
            table.add_row(Text(f"  {row.label}"), row.value, Text(row.interval, style="dim"))
    out.print(table)


def print_comparison(compared: Sequence["Compared"], names: tuple[str, str], note: str, out: Console) -> None:
    """Print two runs side by side.

    :param compared: The measures of both.
    :param names: What the runs are called.
    :param note: What to mind in the comparison; "" for nothing.
    :param out: Where to print.
    """
    out.print()
    out.print(Text.assemble(" A  ", names[0]))
    out.print(Text.assemble(" B  ", names[1]))
    # 80 columns hold the longest name.
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold cyan")
    table.add_column(" Measure", no_wrap=True)
    for title in ("Count", "A", "B", "B - A", "95 % interval", "p"):
        table.add_column(title, justify="right", no_wrap=True)
    for each in compared:
        found = each.difference
        table.add_row(
            f" {each.name}",
            f"{each.count:,}",
            f"{each.first:.3f}",
            f"{each.second:.3f}",
            f"{found.difference:+.3f}",
            f"{found.low:+.3f} to {found.high:+.3f}",
            "" if found.p_value is None else f"{found.p_value:.4f}",
        )
    out.print(table)
    out.print(Text(" Over the questions of both; p of means, by a paired permutation test, two-sided.", style="dim"))
    if note:
        out.print(Text(f" {note}", style="bold"))


def print_calibration(calibration: "Calibration", out: Console) -> None:
    """Print what a calibration was fitted on and what it gains on held-out questions, file by file.

    :param calibration: What `calibrate` made.
    :param out: Where to print.
    """
    fitted = calibration.fitted_on
    out.print()
    out.print(Text(f" {fitted['questions']:,} questions, {fitted['unanswerable']:,} without an answer", style="bold"))
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold cyan")
    table.add_column(" Held-out questions", overflow="fold")
    for title in ("ECE before", "after", "of perfect", "Log loss before", "after"):
        table.add_column(title, justify="right", no_wrap=True)
    for precision, figures in fitted["held_out"].items():
        rows = [(f" {precision}", figures)]
        files = figures.get("files", [])
        rows += [(f"   {data['file']}", each) for data, each in zip(fitted.get("data", []), files, strict=False)]
        for name, each in rows:
            before, after = each["before"], each["after"]
            values = [before and before["ece"], after["ece"], after["ece_of_perfect"]]
            values += [before and before["log_loss"], after["log_loss"]]
            table.add_row(name, *("" if value is None else f"{value:.3f}" for value in values))
    out.print(table)
