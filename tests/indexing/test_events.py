import os
import time
from pathlib import Path
from typing import Any

import pytest
from haystack.components.converters import TextFileToDocument
from small_jobs import stages

from lodestone.indexing import IndexingJob, Limits, Progress, Settings, converting
from lodestone.indexing.conversion import Conversion
from lodestone.indexing.events import EventStream


def events_of(index: Path, *sources: Path, every: float = 60, **settings: Any) -> list[Any]:
    """Index, and return the events."""
    written: list[Any] = []
    made = stages(index, TextFileToDocument())
    with EventStream(written.append, {"index": str(index)}, every) as events:
        report = IndexingJob(made, events, Settings(**{"workers": 0, **settings})).run(sources)
    events.report(report, made.document_store.count_documents())
    made.document_store.close()
    return written


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.txt").write_text("Ferries leave at nine.")
    (folder / "b.txt").write_text("Ferries leave at ten.")
    return folder


def test_a_job_is_a_start_its_files_and_a_report(docs: Path, tmp_path: Path) -> None:
    (docs / "large.txt").write_text("x" * 2000)
    (docs / "link.txt").symlink_to("/etc/hostname")
    first, *files, last = events_of(tmp_path / "index", docs, limits=Limits(megabytes=0.001))

    size = sum((docs / name).stat().st_size for name in ("a.txt", "b.txt", "large.txt"))
    assert first == {"event": "start", "index": str(tmp_path / "index"), "files": 3, "bytes": size}
    states = {Path(each["path"]).name: each["state"] for each in files}
    assert states == {"a.txt": "indexed", "b.txt": "indexed", "large.txt": "failed", "link.txt": "skipped"}
    assert {each["event"] for each in files} == {"file"}
    for each in files:
        assert ("reason" in each) == (each["state"] != "indexed")
        assert each["passages"] == (each["state"] == "indexed")
        assert each["seconds"] >= 0
    assert (last["event"], last["indexed"], last["passages_in_index"]) == ("report", 2, 2)
    assert [each["path"] for each in last["failed"]] == [each["path"] for each in files if each["state"] == "failed"]
    assert last["bytes"] == size


def test_what_is_unchanged_by_size_and_time_is_counted_and_not_listed(docs: Path, tmp_path: Path) -> None:
    events_of(tmp_path / "index", docs)
    os.utime(docs / "b.txt", (1, 1))
    first, *files, last = events_of(tmp_path / "index", docs)
    assert first["files"] == 1
    assert [(Path(each["path"]).name, each["state"]) for each in files] == [("b.txt", "unchanged")]
    assert last["unchanged"] == 2


def test_progress_is_told_again_and_again_while_the_job_runs(
    docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert = converting.convert

    def slowly(*given: Any) -> Conversion:
        time.sleep(0.2)
        return convert(*given)

    monkeypatch.setattr(converting, "convert", slowly)
    events = events_of(tmp_path / "index", docs, every=0.05, batch_files=1)
    progress = [each for each in events if each["event"] == "progress"]
    assert len(progress) >= 3
    assert {"files", "of", "bytes", "of_bytes", "passages", "passages_per_second", "failed", "queues", "seconds"} | {
        "seconds_left"
    } <= progress[0].keys()
    assert progress[0]["queues"] == {"converting": 2, "embedding": 0, "writing": 0}
    assert [each["seconds"] for each in progress] == sorted(each["seconds"] for each in progress)
    assert events[0]["event"] == "start"
    assert events[-1]["event"] == "report"


def test_a_worker_that_takes_long_over_a_file_names_it(docs: Path, tmp_path: Path) -> None:
    told = []

    class Listener(Progress):
        def converting(self, path: str, seconds: float) -> None:
            told.append(path)

    (docs / "large.txt").write_text("Ferries leave at nine. " * 400_000)
    made = stages(tmp_path / "index", TextFileToDocument())
    IndexingJob(made, Listener(), Settings(workers=1)).run([docs])
    made.document_store.close()
    assert str(docs / "large.txt") in told


def test_a_job_whose_reader_has_gone_ends(docs: Path, tmp_path: Path) -> None:
    def gone(event: dict[str, Any]) -> None:
        raise BrokenPipeError

    made = stages(tmp_path / "index", TextFileToDocument())
    with EventStream(gone, {}, every=0.01) as events, pytest.raises(BrokenPipeError):
        IndexingJob(made, events, Settings(workers=0)).run([docs])
    made.document_store.close()
