"""A job that runs, as a terminal shows it."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from lodestone.commands.console import console, sized

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table

    from lodestone.indexing import IndexingJob
    from lodestone.indexing.tracking import State, Tracker

_LABEL_WIDTH = 12
_REFRESHES_PER_SECOND = 4
# A batch with more passages than this has a document that takes long by itself.
_MANY_PASSAGES = 4096


@contextlib.contextmanager
def watched(tracker: "Tracker", job: "IndexingJob", *, beside: bool = False) -> Iterator[None]:
    """Show on stderr, if that is a terminal, how far a job is.

    :param tracker: What the job tells.
    :param job: The job.
    :param beside: Whether stdout is written to meanwhile: if that is a terminal, too, nothing is shown.
    """
    from rich.live import Live

    err = console(stderr=True)
    if not err.is_terminal or (beside and sys.stdout.isatty()):
        yield
        return
    view = JobView(tracker, lambda: job.is_stopping)
    with Live(
        view, console=err, refresh_per_second=_REFRESHES_PER_SECOND, transient=True, redirect_stdout=False
    ) as live:
        try:
            yield
        finally:
            # What comes next belongs where the view was.
            live.update("")


class JobView:
    """A job in a few lines, as wide as the terminal.

    :param tracker: What the job tells.
    :param is_stopping: Whether the job has been told to stop.
    """

    def __init__(self, tracker: "Tracker", is_stopping: Callable[[], bool] = lambda: False) -> None:
        self._tracker = tracker
        self._is_stopping = is_stopping

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """What rich draws, again and again."""
        from rich.text import Text

        width = options.max_width
        if not self._tracker.is_started:
            yield Text("Looking for what is new ...", no_wrap=True, overflow="ellipsis")
            return
        state = self._tracker.state
        yield _bar(state)
        for label, name, text in _lines(state):
            style = "red" if label == "Last failed" else ""
            yield Text(f"  {label:<{_LABEL_WIDTH}}{fitted(name, text, width - _LABEL_WIDTH - 2)}", style, no_wrap=True)
        if self._is_stopping():
            yield Text("Stopping after the batch that it is at ...", no_wrap=True, overflow="ellipsis")


def duration(seconds: float) -> str:
    """`31 s`, `2:05 min`, `3:10 h`, `2 days`.

    :param seconds: How long.
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    if whole < 48 * 3600:
        return f"{whole // 3600}:{whole // 60 % 60:02} h"
    return f"{whole / 86_400:,.0f} days"


def fitted(name: str, text: str, width: int) -> str:
    """A name and what is said of it, cut to a width: of the name its end is kept, of the text its beginning.

    :param name: A path; "" for none.
    :param text: What follows it.
    :param width: Cells.
    """
    from rich.cells import cell_len, set_cell_size

    # A reason may be long: a name has half the room, and what the other does not need.
    room = max(width // 2, width - cell_len(text), 1)
    if cell_len(name) > room:
        end = name
        while cell_len(end) > room - 1:
            end = end[1:]
        name = f"…{end}"
    line = name + text
    return line if cell_len(line) <= width else f"{set_cell_size(line, max(width - 1, 0)).rstrip()}…"


def _bar(state: "State") -> "Table":
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    left = "" if state.seconds_left is None else f", {duration(state.seconds_left)} left"
    grid = Table.grid(padding=(0, 1, 0, 0), expand=True)
    grid.add_column(width=_LABEL_WIDTH + 1, no_wrap=True)
    grid.add_column(ratio=1)
    grid.add_column(no_wrap=True)
    grid.add_row("Indexing", ProgressBar(total=1, completed=state.share), f"{state.share:.0%}{left}")
    return grid


def _lines(state: "State") -> list[tuple[str, str, str]]:
    """A label, a name that may be long, and what is said of it."""
    mean = state.passages / state.seconds if state.seconds else 0.0
    failed = f", {state.failed:,} failed" if state.failed else ""
    lines = [
        ("Files", "", f"{state.files:,} of {state.of:,}, {sized(state.size)} of {sized(state.of_size)}{failed}"),
        ("Passages", "", f"{state.passages:,}; now {state.rate:,.0f}/s, on average {mean:,.0f}/s"),
        ("Waiting", "", f"{state.to_convert:,} to convert, {state.to_embed:,} to embed, {state.to_write:,} to write"),
    ]
    if state.converting is not None:
        path, seconds = state.converting
        lines.append(("Converting", path, f", {duration(seconds)}"))
    if state.embedding is not None and state.embedding[2] > _MANY_PASSAGES:
        path, passages, of = state.embedding
        lines.append(("Embedding", path, f", {passages:,} of {of:,} passages"))
    if state.last_failure is not None:
        lines.append(("Last failed", state.last_failure.path, f": {state.last_failure.reason}"))
    return lines
