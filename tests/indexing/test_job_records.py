"""Records of jobs: their ids, their number, their text, and what is in them."""

import datetime
import os
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import small_jobs
from haystack import Document, component
from haystack.dataclasses import ByteStream
from hypothesis import HealthCheck, given
from hypothesis import settings as tries
from hypothesis import strategies as st

from lodestone import FaissDocumentStore
from lodestone.components.errors import ConfigurationError
from lodestone.indexing import IndexingJob, Limits, MetadataRules, Report, Settings, Source
from lodestone.indexing import job_recorder as recording
from lodestone.indexing.failures import failures_of
from lodestone.indexing.job_file import JobDefinition
from lodestone.indexing.job_record import JobRecord
from lodestone.indexing.job_recorder import JobRecorder, new_record
from lodestone.indexing.job_records import KEPT, JobRecords
from lodestone.indexing.job_text import as_text, read_text
from lodestone.indexing.patterns import Patterns
from lodestone.indexing.processes import ask_to_stop, identity
from lodestone.indexing.progress import FileDone, Progress
from lodestone.indexing.reasons import ENCRYPTED, SCANNED
from lodestone.indexing.report import FileOutcome
from lodestone.indexing.retrying import failed_files
from lodestone.indexing.secrets import without_secrets
from lodestone.indexing.tables import Columns


@component
class Texts:
    """A converter that fails for want of text."""

    @component.output_types(documents=list[Document])
    def run(self, sources: list[ByteStream]) -> dict[str, list[Document]]:
        if not sources[0].data:
            raise ValueError("no text")
        return {"documents": [Document(content=sources[0].data.decode(), meta=sources[0].meta)]}


@pytest.fixture
def store(tmp_path: Path) -> FaissDocumentStore:
    made = FaissDocumentStore(str(tmp_path / "index"))
    made.set_root("docs", "/docs")
    return made


def record(id: str = "0", **values: Any) -> JobRecord:
    return JobRecord(id, "lodestone index docs", "sources: [/docs]", **values)


def test_ids_are_short_in_the_order_of_time_and_never_given_twice(store: FaissDocumentStore) -> None:
    records, ids = JobRecords(store), []
    for _ in range(5):
        ids.append(records.new_id())
        records.save(record(ids[-1]))
        time.sleep(0.04)
    assert sorted(ids) == ids
    assert len(set(ids)) == 5
    assert {len(id) for id in ids} == {8}
    assert [each.id for each in records.all()] == ids[::-1]


def test_the_last_fifty_jobs_are_kept_and_those_that_run(store: FaissDocumentStore) -> None:
    records = JobRecords(store)
    records.save(record("00"))
    for number in range(1, KEPT + 10):
        records.save(record(f"{number:02}", state="done"))
    with JobRecorder(store, record("zz"), Progress()):
        kept = [each.id for each in records.all()]
    assert kept == ["zz", *(f"{number:02}" for number in range(KEPT + 9, 10, -1)), "00"]


def test_a_record_is_only_written_where_there_is_an_index(tmp_path: Path) -> None:
    store = FaissDocumentStore(str(tmp_path / "none"))
    with JobRecorder(store, record(), Progress()):
        pass
    assert not store.exists()


def test_a_running_job_writes_its_record_by_itself(store: FaissDocumentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "_EVERY_SECONDS", 0.02)
    records = JobRecords(store)
    with JobRecorder(store, record(), Progress()) as recorder:
        recorder.start(10, 1000, [FileDone("docs/z.zip", "failed", reason="broken", unread=("docs", "z.zip"))])
        first = records.get("0")
        assert first is not None
        assert first.unread == [("docs", "z.zip")]  # also if the job is killed now
        assert (first.state_now, first.files, first.size) == ("running", 10, 1000)
        latest = time.monotonic() + 10
        while (now := records.get("0")) is not None and now.seen == first.seen and time.monotonic() < latest:
            time.sleep(0.01)
        assert now is not None
        assert now.seen > first.seen
    last = records.get("0")
    assert last is not None
    assert last.ended is not None


def test_what_is_done_is_on_record_soon_and_what_was_not_come_to_is_not(store: FaissDocumentStore) -> None:
    records = JobRecords(store)
    with JobRecorder(store, record(), Progress()) as recorder:
        recorder.start(32, 3200, [])
        recorder.done(FileDone("docs/a.txt", "indexed", size=100, passages=3))
        latest = time.monotonic() + 4  # less than it takes without news
        while (now := records.get("0")) is not None and not now.counts["files"] and time.monotonic() < latest:
            time.sleep(0.05)
        assert now is not None
        assert (now.counts["files"], now.counts["passages"], now.files) == (1, 3, 32)
        recorder.end(Report(files=32, indexed=1, passages=3, stopped=True))
    last = records.get("0")
    assert last is not None
    assert (last.state, last.counts["files"], last.counts["indexed"]) == ("stopped", 1, 1)


def test_what_ends_a_job_is_in_its_record(store: FaissDocumentStore) -> None:
    with pytest.raises(ConfigurationError), JobRecorder(store, record(), Progress()):
        raise ConfigurationError("the disk is full")
    with pytest.raises(KeyboardInterrupt), JobRecorder(store, record("1"), Progress()):
        raise KeyboardInterrupt
    stopped, failed = JobRecords(store).all()
    assert (failed.state, failed.error) == ("failed", "the disk is full")
    assert (stopped.state, stopped.error) == ("stopped", None)


@pytest.mark.parametrize(
    ("report", "state"),
    [
        (Report(), "done"),
        (Report(failed=[FileOutcome("a", "b")]), "done with failures"),
        (Report(incomplete=True), "done with failures"),
        (Report(stopped=True, failed=[FileOutcome("a", "b")]), "stopped"),
    ],
)
def test_the_report_says_how_a_job_ended(store: FaissDocumentStore, report: Report, state: str) -> None:
    with JobRecorder(store, record(), Progress()) as recorder:
        recorder.end(report)
    (kept,) = JobRecords(store).all()
    assert (kept.state, kept.state_now) == (state, state)
    assert kept.report is not None
    assert kept.report["failed"] == report.to_dict()["failed"]


def test_the_time_left_is_reckoned_from_bytes() -> None:
    running = record(began=100.0, seen=110.0, files=4, size=1000)
    assert running.seconds_left is None
    running.counts |= {"files": 1, "bytes": 250, "passages": 50}
    assert (running.seconds_left, running.rate) == (30.0, 5.0)
    assert replace(running, state="done").seconds_left is None


def test_a_process_is_known_while_it_runs_and_not_mistaken_for_another() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        known_as = identity(process.pid)
        assert known_as is not None
        assert known_as != identity(os.getpid())
        assert not ask_to_stop(process.pid, "another")
        assert not ask_to_stop(process.pid, None)
        assert process.poll() is None
        assert ask_to_stop(process.pid, known_as)
        process.wait()
    assert identity(process.pid) is None
    assert not ask_to_stop(process.pid, known_as)


def test_a_process_that_nobody_has_buried_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        latest = time.monotonic() + 30
        while identity(process.pid) is not None and time.monotonic() < latest:
            time.sleep(0.01)
        assert identity(process.pid) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("sftp://ann:pa55@host/x", "sftp://<secret>@host/x"),
        ("az://c/x?sv=1&sig=a%2Fb&page=2 y", "az://c/x?sv=1&sig=<secret>&page=2 y"),
        (
            "'https://h/x?X-Amz-Signature=ab&X-Amz-Credential=c'",
            "'https://h/x?X-Amz-Signature=<secret>&X-Amz-Credential=<secret>'",
        ),
        ("https://h/x?api_key=ab", "https://h/x?api_key=<secret>"),
        ("github://owner:repository@main/docs", "github://owner:repository@main/docs"),
        ("s3://bucket/a?b=c@d:e", "s3://bucket/a?b=c@d:e"),
        ("/docs/what?.txt", "/docs/what?.txt"),
    ],
)
def test_urls_show_no_secrets(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
    assert without_secrets(shown) == shown


# Drawing is slow on a busy machine, and the first draw imports.
in_peace = tries(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])

paths = st.text(min_size=1).filter(lambda text: "\0" not in text and "://" not in text).map(lambda text: f"/x/{text}")
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)


@in_peace
@given(
    sources=st.lists(
        st.builds(
            Source,
            paths.map(os.path.abspath),
            st.builds(Patterns, st.lists(names).map(tuple), st.lists(names).map(tuple)),
            st.none() | st.builds(Columns, st.lists(names, min_size=1).map(tuple), st.just(()), st.none() | names),
            st.none() | names,
        ),
        min_size=1,
        max_size=3,
    ),
    settings=st.builds(
        Settings,
        workers=st.none() | st.integers(0, 9),
        batch_files=st.integers(1, 9),
        archives=st.booleans(),
        limits=st.builds(Limits, seconds=st.floats(0.1, 1e6), pages=st.none() | st.integers(1, 9)),
    ),
    constant=st.dictionaries(
        names.map(lambda name: f"x{name}"), st.none() | st.booleans() | names | st.dates() | st.lists(st.integers())
    ),
    prune=st.booleans(),
)
def test_a_job_that_is_written_down_is_read_as_it_was(
    sources: list[Source], settings: Settings, constant: dict[str, Any], prune: bool
) -> None:
    rules = MetadataRules("{team}/**", ("author",), constant)
    job = JobDefinition(sources, "query_faiss", "/index", settings, rules, prune)
    text = as_text(job, "/index")
    text.encode()
    assert read_text(text, "job x", "/index") == job


def test_a_written_job_names_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real" / "inner")
    monkeypatch.chdir(tmp_path)
    day = datetime.date(2026, 1, 2)
    sources = [Source("docs/*.md"), Source("link/../x"), Source("s3://bucket/x")]
    job = JobDefinition(sources, "mine.yaml", metadata=MetadataRules(constant={"day": day}))
    read = read_text(as_text(job, "index"), "job x", "/elsewhere")
    assert [source.path for source in read.sources] == [f"{tmp_path}/docs/*.md", f"{tmp_path}/real/x", "s3://bucket/x"]
    assert (read.pipeline, read.index, read.metadata.constant) == (f"{tmp_path}/mine.yaml", "/elsewhere", {"day": day})


def test_a_written_job_of_a_newer_version_is_refused_with_the_key() -> None:
    with pytest.raises(ConfigurationError, match="job x:2: unknown key 'invented'"):
        read_text("sources: [/docs]\ninvented: 1\n", "job x", "/index")


def test_failures_are_grouped_with_what_can_be_mended_first(store: FaissDocumentStore) -> None:
    reasons = {"a": "odd", "b": SCANNED, "c": "empty", "d": ENCRYPTED, "e": "empty"}
    with JobRecorder(store, record(), Progress()) as recorder:
        recorder.end(Report(failed=[FileOutcome(path, reason) for path, reason in reasons.items()]))
    failures = failures_of(store, JobRecords(store).find(None))
    assert failures.by_reason() == {ENCRYPTED: ["d"], SCANNED: ["b"], "empty": ["c", "e"], "odd": ["a"]}


def test_more_failures_than_a_record_holds_come_from_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "_LISTED", 2)
    docs, index = tmp_path / "docs", tmp_path / "index"
    docs.mkdir()
    for number in range(5):
        (docs / f"{number}.txt").write_text("")
    kept = run(index, docs)
    with FaissDocumentStore(str(index)) as store:
        failures = failures_of(store, kept)
        assert [each.path for each in failures.listed] == [f"docs/{number}.txt" for number in range(5)]
        assert failures.unlisted == 0
        store.delete_sources([("docs", f"{number}.txt") for number in range(5)])
        assert (len(failures_of(store, kept).listed), failures_of(store, kept).unlisted) == (2, 3)


def run(index: Path, *sources: str | Path | Source, of: JobRecord | None = None, **options: Any) -> JobRecord:
    """Run a job over text files with its record; one that retries another if `of` is given."""
    stages = small_jobs.stages(index, Texts())
    store = stages.document_store
    given = [each if isinstance(each, Source) else Source(str(each)) for each in sources]
    only = None if of is None else failed_files(store, given, of.unread)
    settings = Settings(workers=0, **options)
    made = new_record(store, JobDefinition(given), "lodestone index", of=of, is_retry=of is not None)
    with JobRecorder(store, made, Progress()) as recorder:
        recorder.end(IndexingJob(stages, recorder, settings).run(given, only=only))
    found = JobRecords(store).get(made.id)
    store.close()
    assert found is not None
    return found


def retried(kept: JobRecord) -> tuple[int, int, int]:
    return kept.counts["files"], kept.counts["indexed"], kept.counts["failed"]


def test_a_retry_looks_into_archives_and_tables_for_what_failed_only(tmp_path: Path) -> None:
    docs, index = tmp_path / "docs", tmp_path / "index"
    docs.mkdir()

    def archive(**members: str) -> None:
        with zipfile.ZipFile(docs / "all.zip", "w") as file:
            for name, text in members.items():
                file.writestr(f"{name}.txt", text)

    archive(good="good", bad="")
    (docs / "rows.jsonl").write_text('{"text": "one"}\n{"text": ""}\n')
    source = Source(str(docs), columns=Columns(("text",)))
    first = run(index, source)
    assert retried(first) == (4, 2, 2)
    archive(good="better", bad="no longer", new="new")
    (docs / "rows.jsonl").write_text('{"text": "uno"}\n{"text": "two"}\n{"text": "three"}\n')
    assert retried(run(index, source, of=first)) == (2, 2, 0)
    assert small_jobs.texts(index) == {
        "docs/all.zip/good.txt": "good",
        "docs/all.zip/bad.txt": "no longer",
        "docs/rows.jsonl/1": "one",
        "docs/rows.jsonl/2": "two",
    }


def test_a_retry_takes_up_what_the_ledger_does_not_know(tmp_path: Path) -> None:
    docs, index = tmp_path / "docs", tmp_path / "index"
    docs.mkdir()
    (docs / "a.txt").write_text("a")
    (docs / "broken.zip").write_bytes(b"PK no")
    (docs / "x.jsonl").write_text("no JSON")
    (docs / "link.txt").symlink_to(docs / "nothing")
    source = Source(str(docs), columns=Columns(("text",)))
    first = run(index, source)
    assert sorted(first.unread) == [("docs", "broken.zip"), ("docs", "link.txt")]
    with zipfile.ZipFile(docs / "broken.zip", "w") as file:
        file.writestr("in.txt", "in")
    (docs / "x.jsonl").write_text('{"text": "row"}\n')
    (docs / "link.txt").unlink()
    (docs / "link.txt").write_text("a file now")
    (docs / "b.txt").write_text("new")
    assert retried(run(index, source, of=first)) == (3, 3, 0)
    assert small_jobs.texts(index).keys() == {
        *("docs/a.txt", "docs/broken.zip/in.txt", "docs/link.txt", "docs/x.jsonl/1"),
    }


def test_what_was_said_of_a_table_goes_when_a_retry_reads_it(tmp_path: Path) -> None:
    docs, index = tmp_path / "docs", tmp_path / "index"
    docs.mkdir()
    for name in ("x", "y"):
        (docs / f"{name}.jsonl").write_text("no JSON")
    source = Source(str(docs), columns=Columns(("text",)))
    first = run(index, source)
    (docs / "x.jsonl").write_text('{"text": "row"}\n')
    assert retried(run(index, source, of=first)) == (1, 1, 1)
    with FaissDocumentStore(str(index)) as store:
        assert [record.path for record in store.sources()] == ["x.jsonl/1", "y.jsonl"]
        assert failed_files(store, [source], []) == {("docs", "y.jsonl")}


def test_a_retry_keeps_to_what_the_job_is_about(tmp_path: Path) -> None:
    docs, index = tmp_path / "docs", tmp_path / "index"
    (docs / "inner").mkdir(parents=True)
    for name in ("a.txt", "b.md", "inner/c.txt", "inner/d.md"):
        (docs / name).write_text("")
    first = run(index, docs)
    for name in ("a.txt", "b.md", "inner/c.txt", "inner/d.md"):
        (docs / name).write_text(f"text of {name}")
    assert retried(run(index, Source(str(docs / "inner")), of=first)) == (2, 2, 0)
    assert retried(run(index, Source(str(docs), Patterns(("*.txt",))), of=first)) == (1, 1, 0)
    assert small_jobs.texts(index).keys() == {"docs/a.txt", "docs/inner/c.txt", "docs/inner/d.md"}
    assert retried(run(index, docs, of=first)) == (1, 1, 0)
    assert retried(run(index, docs, of=first)) == (0, 0, 0)


def test_a_retry_leaves_files_alone_that_failed_and_are_gone(tmp_path: Path) -> None:
    docs, index = tmp_path / "docs", tmp_path / "index"
    docs.mkdir()
    for name in ("a.txt", "b.txt"):
        (docs / name).write_text("")
    (docs / "broken.zip").write_bytes(b"PK no")
    first = run(index, docs)
    assert first.counts["failed"] == 3
    (docs / "a.txt").unlink()
    (docs / "broken.zip").unlink()
    (docs / "b.txt").write_text("text of b")
    again = run(index, docs, of=first)
    assert (retried(again), again.state_now) == ((1, 1, 0), "done")


def test_an_unfinished_job_is_resumed_rather_than_the_retry_after_it(store: FaissDocumentStore) -> None:
    records = JobRecords(store)
    with pytest.raises(ConfigurationError, match="no record of a job"):
        records.to_resume(None)
    for number, (kind, state) in enumerate([("index", "stopped"), ("retry", "done"), ("index", "done")]):
        records.save(replace(record(str(number)), kind=kind, state=state, ended=1.0))
        if number == 2:
            with pytest.raises(ConfigurationError, match=r"nothing to resume .* the last job, 2, is done"):
                records.to_resume(None)
        else:
            assert records.to_resume(None).id == "0"
        assert records.to_resume(str(number)).id == str(number)


def test_without_an_id_the_last_job_is_meant_for_which_there_is_anything_to_do(store: FaissDocumentStore) -> None:
    records = JobRecords(store)

    def save(id: str, about: str, state: str, **values: Any) -> None:
        records.save(replace(record(id, **values), definition=about, state=state))

    save("1", "a", "stopped")
    save("2", "b", "done with failures", unread=[("docs", "z.zip")])
    save("3", "c", "done")
    assert records.to_resume(None).id == "1"
    assert [each.id for each in records.to_retry(None)] == ["2", "1"]
    with pytest.raises(ConfigurationError, match=r"no job of .* is running \(the last one is 3, state: done\)"):
        records.to_cancel(None)
    save("4", "a", "running")
    save("5", "c", "stopped", swap=True)
    save("6", "c", "done")  # the new index is still to be built
    assert records.to_cancel(None).id == "4"
    assert records.to_resume(None).id == "5"
    save("7", "a", "done", of="1")
    save("8", "c", "done", swap=True)
    with pytest.raises(ConfigurationError, match="nothing to resume"):
        records.to_resume(None)
    save("9", "b", "done", kind="retry", of="2")
    assert [each.id for each in records.to_retry(None)] == ["9"]


def test_a_retry_of_files_behind_a_url_lists_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    files = fsspec.filesystem("memory")
    files.pipe({"/retry/a.txt": b"a", "/retry/b.txt": b""})
    index, source = tmp_path / "index", Source("memory://retry")
    first = run(index, source)
    files.pipe({"/retry/b.txt": b"b", "/retry/c.txt": b"c"})
    monkeypatch.setattr(type(files), "find", None)
    assert retried(run(index, source, of=first)) == (1, 1, 0)
    monkeypatch.undo()
    assert small_jobs.texts(index) == {"retry/a.txt": "a", "retry/b.txt": "b"}
    # What was retried is as the next run finds it.
    assert retried(run(index, source)) == (3, 1, 0)
    files.rm("/retry", recursive=True)


def test_a_folder_that_cannot_be_listed_is_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docs, index = tmp_path / "docs", tmp_path / "index"
    (docs / "inner").mkdir(parents=True)
    (docs / "a.txt").write_text("a")
    (docs / "inner" / "b.txt").write_text("b")
    scandir = os.scandir

    def refusing(path: Any) -> Any:
        if str(path).endswith("inner"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    first = run(index, docs)
    assert first.unread == [("docs", "inner/")]
    monkeypatch.undo()
    assert retried(run(index, docs, of=first)) == (1, 1, 0)
    assert small_jobs.texts(index).keys() == {"docs/a.txt", "docs/inner/b.txt"}
