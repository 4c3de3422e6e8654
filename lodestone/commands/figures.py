"""Figures of evaluations as a person reads them in a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
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


def print_comparison(compared: Sequence["Compared"], names: tuple[str, str], out: Console) -> None:
    """Print two runs side by side.

    :param compared: The measures of both.
    :param names: What the runs are called.
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
