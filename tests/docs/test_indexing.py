"""The job file in docs/indexing.md runs and does what its comments say."""

import re
from pathlib import Path

import pytest
from haystack.components.converters import TextFileToDocument
from small_jobs import metas, stages

from lodestone.indexing import FileDone, IndexingJob, Limits, Report
from lodestone.indexing.job_file import read_job
from lodestone.indexing.tracking import State

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "indexing.md"


@pytest.fixture
def job(tmp_path: Path) -> Path:
    files = {
        "handbook/hr/leave.md": "---\nauthor: Ann\n---\nTwenty-five days.",
        "handbook/hr/drafts/new.md": "Thirty days.",
        "minutes/2024/may.docx": "Read as text by this test.",
        "tables/questions.csv": "key,question,answer,team\n17,Who?,Me,crew\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (tmp_path / "job.yaml").write_text(block)
    return tmp_path / "job.yaml"


def test_the_job_does_what_its_comments_say(job: Path) -> None:
    definition = read_job(job)
    made = stages(job.parent / "my-index", TextFileToDocument())
    report = IndexingJob(made, None, definition.settings, definition.metadata).run(definition.sources)
    made.document_store.close()
    assert report.complete
    found = metas(Path(str(definition.index)))
    leave, question = found["hr/leave.md"], found["questions.csv/17"]
    assert set(found) == {"hr/leave.md", "2024/may.docx", "questions.csv/17"}
    assert (leave["department"], leave["author"], leave["tenant"]) == ("hr", "Ann", "ferries")
    assert "department" not in found["2024/may.docx"]
    assert (question["team"], question["tenant"], question.get("department")) == ("crew", "ferries", None)


def test_the_limits_in_the_table_are_the_defaults() -> None:
    (row,) = re.findall(r"^\| `limits` .*", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    stated = dict(re.findall(r"`(\w+)`(?: in MiB)? \(([\d,]+|any)\)", row))
    limits = {name: "any" if value is None else f"{value:,}" for name, value in vars(Limits()).items()}
    assert {name: value.replace(",", "") for name, value in stated.items()} == {
        name: value.replace(",", "") for name, value in limits.items()
    }


@pytest.mark.parametrize(
    ("event", "keys"),
    [
        ("file", FileDone("a", "failed", reason="x").to_dict()),
        ("progress", {**State().to_dict(), **State().to_dict()["queues"]}),
        ("report", Report().to_dict()),
    ],
)
def test_the_table_of_events_names_all_that_is_in_them(event: str, keys: dict[str, object]) -> None:
    (row,) = re.findall(rf"^\| `{event}` \|.*", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(keys) <= set(re.findall(r"`(\w+)`", row))
