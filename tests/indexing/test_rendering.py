import json
from pathlib import Path

import pytest

from lodestone.indexing import FileOutcome, Report
from lodestone.indexing.reasons import ENCRYPTED, SCANNED
from lodestone.indexing.rendering import as_text, write_report


@pytest.fixture
def report() -> Report:
    report = Report(files=5, indexed=1, passages=1200, seconds=2.0)
    report.failed = [FileOutcome("a.pdf", ENCRYPTED), FileOutcome("b.pdf", SCANNED), FileOutcome("<c>.pdf", "damaged")]
    report.skipped = [FileOutcome("d.png", "no converter")]
    for seconds in range(20):
        report.note_time(f"{seconds}.txt", seconds)
    return report


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
        write_report(report, tmp_path / name)
    page = (tmp_path / "r.html").read_text()
    assert (tmp_path / "r.txt").read_text() == as_text(report) + "\n"
    assert json.loads((tmp_path / "r.json").read_text())["encrypted"] == ["a.pdf"]
    assert "&lt;c&gt;.pdf" in page
    assert "<c>" not in page
    assert "<h2>Slowest (10)</h2>" in page


def test_the_slowest_files_are_kept(report: Report) -> None:
    assert [path for path, _ in report.slowest] == [f"{seconds}.txt" for seconds in range(19, 9, -1)]
