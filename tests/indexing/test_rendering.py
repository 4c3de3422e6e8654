import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lodestone.indexing import FileDone, FileOutcome, Report
from lodestone.indexing.reasons import ENCRYPTED, SCANNED
from lodestone.indexing.rendering import as_html, as_text, write_report


@pytest.fixture
def report() -> Report:
    report = Report(files=5, seconds=2.0)
    report.note(FileDone("docs/long.txt", "indexed", 3_000_000, 1200, 30))
    report.note(FileDone("a.pdf", "failed", reason=ENCRYPTED))
    report.note(FileDone("b.pdf", "failed", reason=SCANNED))
    report.note(FileDone("<c>.pdf", "failed", reason="damaged"))
    report.note(FileDone("d.png", "skipped", 500_000, reason="no converter"))
    report.slowest = []
    for seconds in range(20):
        report.note(FileDone(f"{seconds}.txt", "unchanged", seconds=seconds))
    report.unchanged = 0
    return report


class Page(HTMLParser):
    """What a page shows, and what it would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [str(value) for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_encrypted_and_scanned_files_are_listed_apart(report: Report) -> None:
    assert as_text(report).splitlines() == [
        "Indexed 1 file (1,200 passages), 3 failed, 1 skipped in 2.0 s.",
        "  Failed: <c>.pdf: damaged",
        "  Encrypted: a.pdf",
        "  Needs OCR: b.pdf",
        "  Skipped: d.png: no converter",
    ]


def test_a_report_is_written_as_what_its_name_says(report: Report, tmp_path: Path) -> None:
    for name in ("r.txt", "r.json", "r.html"):
        write_report(report, tmp_path / name, "my-index")
    assert (tmp_path / "r.txt").read_text() == as_text(report) + "\n"
    written = json.loads((tmp_path / "r.json").read_text())
    assert (written["encrypted"], written["index"]) == (["a.pdf"], "my-index")
    assert (tmp_path / "r.html").read_text() == as_html(report, "my-index")


def test_the_page_shows_the_index_the_figures_and_every_file_by_its_kind(report: Report) -> None:
    page = Page(as_html(report, "my <index>"))
    assert "into my <index>" in page.text
    texts = page.text[page.text.index("files indexed") :]
    figures = dict(zip(texts[::2], texts[1::2], strict=False))
    assert figures["files indexed"] == "1"
    assert figures["MB read"] == "3.5"
    assert figures["passages/s"] == "600"
    assert figures["seconds"] == "2.0"
    assert figures["failed"] == "3"
    assert "unchanged" not in figures
    headings = [text for text in page.text if text.endswith(")") and " (" in text]
    assert headings == [
        "Failed (1)",
        "Encrypted: save without a password first (1)",
        "Scanned: run OCR first (1)",
        "Skipped (1)",
        "Slowest to convert (10)",
    ]
    assert {"<c>.pdf", "a.pdf", "b.pdf", "d.png", "19.txt"} <= set(page.text)


def test_the_page_is_complete_by_itself_and_names_cannot_break_it(report: Report) -> None:
    report.failed = [FileOutcome("<script>alert(1)</script>.pdf", '"><img src=x onerror=alert(1)>')]
    report.warnings = ["<b>half</b> are gone"]
    page = Page(as_html(report, "</title><script>alert(1)</script>"))
    assert not page.fetched
    assert not {"script", "img", "b", "link"} & set(page.tags)


def test_a_report_of_nothing_is_a_page_with_figures_only() -> None:
    page = Page(as_html(Report(), "x"))
    assert "h2" not in page.tags
    assert "files indexed" in page.text


def test_the_slowest_files_are_kept(report: Report) -> None:
    assert [path for path, _ in report.slowest] == [f"{seconds}.txt" for seconds in range(19, 9, -1)]
