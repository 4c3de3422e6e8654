"""What a person sees of a job that runs."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from lodestone.commands.job_view import JobView, duration, fitted
from lodestone.indexing.contents import Text
from lodestone.indexing.progress import FileDone
from lodestone.indexing.sources import SourceFile
from lodestone.indexing.tracking import Tracker


def file(name: str, size: int) -> SourceFile:
    return SourceFile("root", name, Text(""), size, 0, f"docs/{name}")


@pytest.fixture
def tracker() -> Tracker:
    now = [0.0]

    def clock() -> float:
        return now[0]

    tracker = Tracker(clock)
    tracker.start(3310, 84_900_000, [])
    for number in range(1230):
        tracker.converted(file(str(number), 0))
    now[0] = 60
    tracker.embedding([(file("deep/below/" + "folders/" * 20 + "handbook.txt", 40_000_000), 60_000)])
    now[0] = 100
    tracker.embedded(12_288)
    tracker.writing(0)
    tracker.embedding([(file("deep/below/" + "folders/" * 20 + "handbook.txt", 40_000_000), 60_000)])
    now[0] = 120
    tracker.embedded(6_144)
    tracker.converting("docs/scans/large.pdf", 31.2)
    reason = "not a .docx file, whatever its name says"
    tracker.done(FileDone("docs/broken.docx", "failed", 1_000, reason=reason))
    tracker.done(FileDone("docs/leave.md", "indexed", 2_000_000, 1204))
    return tracker


def lines(view: JobView, columns: int) -> list[str]:
    console = Console(width=columns, highlight=False, file=None, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(view)
    return [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in captured.get().splitlines()]


def test_at_80_columns_a_job_is_a_bar_and_a_line_for_each_thing(tracker: Tracker) -> None:
    bar, *rest = lines(JobView(tracker), 80)
    assert re.fullmatch(r"Indexing +[━╸╺ ]{20,} 52%, 1:51 min left", bar)
    assert rest == [
        "  Files       2 of 3,310, 2.0 MB of 84.9 MB, 1 failed",
        "  Passages    1,204; now 307/s, on average 10/s",
        "  Waiting     2,080 to convert, 1,228 to embed, 0 to write",
        "  Converting  docs/scans/large.pdf, 31 s",
        "  Embedding   …rs/folders/folders/folders/handbook.txt, 6,144 of 60,000 passages",
        "  Last failed docs/broken.docx: not a .docx file, whatever its name says",
    ]


@pytest.mark.parametrize("columns", [20, 40, 79, 80, 200])
def test_no_line_is_wider_than_the_terminal(tracker: Tracker, columns: int) -> None:
    shown = lines(JobView(tracker, lambda: True), columns)
    assert len(shown) == 8
    assert all(cell_len(line) <= columns for line in shown)


def test_before_the_work_is_known_it_says_so() -> None:
    assert lines(JobView(Tracker()), 80) == ["Looking for what is new ..."]


def test_a_job_that_was_told_to_stop_says_so(tracker: Tracker) -> None:
    assert lines(JobView(tracker, lambda: True), 80)[-1] == "Stopping after the batch that it is at ..."


@given(st.text(max_size=200), st.text(max_size=200), st.integers(3, 120))
def test_a_name_and_a_text_fit_and_keep_their_meaning(name: str, text: str, width: int) -> None:
    line = fitted(name, text, width)
    assert cell_len(line) <= width
    if cell_len(name + text) <= width:
        assert line == name + text


def test_of_a_path_its_end_is_kept_and_of_a_reason_its_beginning() -> None:
    line = fitted("a/very/long/path/to/scan.pdf", ": encrypted: save it", 30)
    assert line == "…th/to/scan.pdf: encrypted: s…"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1:00 min"), (3599.6, "1:00 h"), (93_600, "26:00 h"), (300_000, "3 days")],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text
