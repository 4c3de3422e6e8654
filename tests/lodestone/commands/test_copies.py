"""What people see of files that exist more than once, and of files that failed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
CORPUS = Path(__file__).resolve().parents[3] / "examples" / "corpus"


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for name in ("b.txt", "a.txt", "c.txt"):
        shutil.copy(CORPUS / "travel" / "bad-weather.txt", folder / name)
    return folder


def test_copies_are_counted_named_and_deleted(lodestone: Run, docs: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    shown = lodestone("index", docs, "--index", index, "--report", tmp_path / "report.html")
    assert shown.code == 0
    assert "Indexed 1 file (" in shown.out
    assert "2 copies of other files" in shown.out
    page = (tmp_path / "report.html").read_text()
    assert f"<td>{docs}/c.txt<td>of {docs}/a.txt" in page

    question = "When is a sailing cancelled?"
    answered = lodestone("ask", question, "--index", index).out
    assert "also in: docs/b.txt, docs/c.txt" in answered
    assert all(len(line) <= 80 for line in answered.splitlines())
    best = json.loads(lodestone("ask", question, "--index", index, "--json").out)["answers"][0]
    assert best["evidence"][0]["copies"] == ["docs/b.txt", "docs/c.txt"]
    assert "also in: docs/b.txt, docs/c.txt" in lodestone("search", "weather", "--index", index).out
    found = json.loads(lodestone("search", "weather", "--index", index, "--json").out.splitlines()[0])
    assert found["copies"] == ["docs/b.txt", "docs/c.txt"]

    assert "1 indexed, 2 copies" in " ".join(lodestone("status", "--index", index).out.split())
    status = json.loads(lodestone("status", "--index", index, "--json").out)
    assert (status["sources"], status["failed"]) == ({"duplicate": 2, "indexed": 1}, {})

    removed = lodestone("delete", docs / "a.txt", "--index", index)
    assert "2 copies are left; the next `lodestone index` indexes:" in removed.out
    assert removed.out.splitlines()[-2:] == ["    docs/b.txt", "    docs/c.txt"]
    (docs / "a.txt").unlink()
    assert lodestone("index", docs, "--index", index).code == 0
    assert "also in: docs/c.txt" in lodestone("ask", question, "--index", index).out
    removed = json.loads(lodestone("delete", docs / "c.txt", "--index", index, "--json").out)
    assert (removed["files"], removed["passages"], removed["copies"]) == (1, 0, [])


def test_status_counts_every_failure_and_lists_none_as_indexed(lodestone: Run, docs: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    (docs / "empty.txt").write_text("")
    (docs / "huge.txt").write_text("x" * 2**20)
    lodestone("index", docs, "--index", index, "--max-size", "0.5")
    status = json.loads(lodestone("status", "--index", index, "--json").out)
    assert status["failed"].keys() == {"docs/empty.txt", "docs/huge.txt"}
    assert status["sources"] == {"duplicate": 2, "failed": 2, "indexed": 1}
    assert status["last_indexed"].keys() == {"docs/a.txt"}

    (docs / "b.txt").write_text("x" * 2**20)
    lodestone("index", docs, "--index", index, "--max-size", "0.5")
    status = json.loads(lodestone("status", "--index", index, "--json").out)
    assert "too large" in status["failed"]["docs/b.txt"]
    assert status["sources"] == {"duplicate": 2, "failed": 2, "indexed": 1}
    lodestone("index", docs, "--index", index)
    assert json.loads(lodestone("status", "--index", index, "--json").out)["failed"].keys() == {"docs/empty.txt"}
