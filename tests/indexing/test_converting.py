"""Documents that crash, hang or exhaust their converter."""

import json
import threading
from pathlib import Path

import pytest
from haystack import Document, component
from haystack.dataclasses import ByteStream
from hostile_converter import HostileConverter
from small_jobs import stages

from lodestone.components.errors import LodestoneError
from lodestone.indexing import IndexingJob, Limits, Report, Settings, Source
from lodestone.indexing.backlog import Backlog, CancelledError
from lodestone.indexing.contents import LocalFile
from lodestone.indexing.conversion import Conversion, Task
from lodestone.indexing.sources import SourceFile
from lodestone.indexing.tables import Columns

LIMITS = Limits(seconds=1, memory=512)


def run(tmp_path: Path, texts: dict[str, str], settings: Settings) -> tuple[Report, list[str]]:
    folder = tmp_path / "docs"
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text)
    made = stages(tmp_path / "index", HostileConverter())
    report = IndexingJob(made, settings=settings).run([folder])
    contents = [str(document.content) for document in made.document_store.filter_documents()]
    made.document_store.close()
    return report, sorted(contents)


def test_a_document_that_takes_its_worker_down_is_named_and_the_others_are_indexed(tmp_path: Path) -> None:
    bad = {"a": "crash", "d": "loop", "e": "hoard", "f": "swallow", "h": "crash again", "i": "exit", "j": "leave"}
    good = {"b": "one", "g": "two", "k": "three", "z": "four"}
    report, contents = run(tmp_path, bad | good, Settings(workers=1, limits=LIMITS))
    reasons = {Path(outcome.path).stem: outcome.reason for outcome in report.failed}
    assert contents == sorted(good.values())
    assert reasons == {
        "a": "its converter crashed (SIGSEGV)",
        "d": "converting it takes longer than 1 s; raise the time limit",
        "e": "converting it needs more than 512 MiB of memory; raise the memory limit",
        "f": "converting it needs more than 512 MiB of memory; raise the memory limit",
        "h": "its converter crashed (SIGSEGV)",
        "i": "its converter crashed (exit status 0)",
        "j": "its converter crashed (exit status 3)",
    }
    assert (report.indexed, report.complete) == (4, False)


def test_a_document_is_not_blamed_for_what_an_earlier_one_left_behind(tmp_path: Path) -> None:
    report, contents = run(tmp_path, {"a": "poison", "b": "fragile"}, Settings(workers=1))
    assert (contents, report.failed) == (["fragile", "poison"], [])


def test_metadata_that_cannot_be_stored_fails_its_document_only(tmp_path: Path) -> None:
    report, contents = run(tmp_path, {"a": "odd", "b": "one"}, Settings(workers=0))
    assert contents == ["one"]
    assert [Path(outcome.path).name for outcome in report.failed] == ["a.txt"]
    assert "JSON" in report.failed[0].reason


@pytest.mark.parametrize("workers", [0, 3])
def test_any_number_of_workers_gives_the_same_index(tmp_path: Path, workers: int) -> None:
    texts = {str(number): f"text {number}" for number in range(200)}
    report, contents = run(tmp_path, texts, Settings(workers=workers, batch_passages=16))
    assert contents == sorted(texts.values())
    assert (report.files, report.indexed, report.passages) == (200, 200, 200)


def test_rows_larger_than_a_connection_holds_do_not_block_the_job(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps({"text": f"{n} " * 200_000}) for n in range(8)))
    source = Source(str(tmp_path / "rows.jsonl"), columns=Columns(("text",)))
    made = stages(tmp_path / "index", HostileConverter())
    assert IndexingJob(made, settings=Settings(workers=1)).run([source]).indexed == 8
    made.document_store.close()


def test_a_pipeline_that_a_worker_cannot_load_is_said(tmp_path: Path) -> None:
    @component
    class Local:
        @component.output_types(documents=list[Document])
        def run(self, sources: list[ByteStream]) -> dict[str, list[Document]]:
            return {"documents": []}

    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("text")
    job = IndexingJob(stages(tmp_path / "index", Local()))
    with pytest.raises(LodestoneError, match=r"cannot be loaded in a worker process .*Local.*workers 0"):
        job.run([tmp_path / "docs"])


@pytest.fixture
def task() -> Task:
    return Task(SourceFile("root", "a.txt", LocalFile("a.txt"), 1, 1, "a.txt"))


def test_a_full_backlog_holds_the_converters_up_until_a_batch_is_taken(task: Task) -> None:
    backlog = Backlog(passages=2, files=100)
    two = Conversion("converted", passages=[Document(content="a"), Document(content="b")])
    for _ in range(2):
        backlog.put(task, two)
    putting = threading.Thread(target=backlog.put, args=(task, two))
    putting.start()
    putting.join(timeout=0.2)
    assert putting.is_alive()
    assert backlog.take(0) == [(task, two)]
    putting.join()
    backlog.end()
    assert [backlog.take(0), backlog.take(0), backlog.take(0)] == [[(task, two)], [(task, two)], None]


def test_the_first_batches_are_small_so_that_embedding_begins_early(task: Task) -> None:
    backlog = Backlog(passages=16, files=100)
    one = Conversion("converted", passages=[Document(content="a")])
    for _ in range(32):
        backlog.put(task, one)
    backlog.end()
    assert [len(backlog.take(0) or []) for _ in range(5)] == [2, 4, 8, 16, 2]


def test_part_of_a_batch_is_taken_only_if_that_will_do(task: Task) -> None:
    backlog = Backlog(passages=2, files=100)
    failed = Conversion("failed", "no text in this file")
    assert backlog.take(0, whole=False) == []
    backlog.put(task, failed)
    assert backlog.take(0.01) == []
    assert backlog.take(0.01, whole=False) == [(task, failed)]


def test_nothing_is_put_into_a_backlog_that_nobody_takes_from(task: Task) -> None:
    backlog = Backlog(passages=1, files=1)
    backlog.cancel()
    with pytest.raises(CancelledError):
        backlog.put(task, Conversion("same"))
