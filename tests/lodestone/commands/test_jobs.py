"""Jobs as an operator handles them: real runs, killed, cancelled, resumed, retried."""

import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from told_job import REPOSITORY, told

from lodestone import ElasticsearchStore, FaissDocumentStore
from lodestone.indexing import processes
from lodestone.indexing.job_record import JobRecord
from lodestone.indexing.job_records import JobRecords

Run = Callable[..., Any]

PIPELINE = """
components:
  converter: {type: haystack.components.converters.txt.TextFileToDocument}
  splitter: {type: haystack.components.preprocessors.document_splitter.DocumentSplitter}
  writer:
    type: haystack.components.writers.document_writer.DocumentWriter
    init_parameters:
      document_store:
        type: lodestone.components.stores.faiss_document_store.FaissDocumentStore
        init_parameters: {path: unused}
connections:
  - {sender: converter.documents, receiver: splitter.documents}
  - {sender: splitter.documents, receiver: writer.documents}
"""
NAMES = ["a.txt", "b.txt", "c.txt", "d.txt"]


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A job of four small files, each written by itself."""
    (tmp_path / "docs").mkdir()
    for name in NAMES:
        (tmp_path / "docs" / name).write_text(f"This is {name}.")
    (tmp_path / "pipeline.yaml").write_text(PIPELINE)
    file = tmp_path / "job.yaml"
    file.write_text("sources: [docs]\npipeline: pipeline.yaml\nindex: index\nworkers: 0\nbatch_files: 1\n")
    return file


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return tmp_path / "index"


@pytest.fixture
def jobs(lodestone: Run, index: Path) -> Run:
    """Runs `lodestone jobs` on the index."""
    return lambda verb, *arguments: lodestone("jobs", verb, *arguments, "--index", index)


def listed(jobs: Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in jobs("list", "--json").out.splitlines()]


def held(index: Path) -> dict[str, str]:
    with FaissDocumentStore(str(index)) as store:
        return {record.path: record.state for record in store.sources()}


def change(index: Path, **values: Any) -> None:
    """Change what the last job's record says."""
    with FaissDocumentStore(str(index)) as store:
        record = JobRecords(store).find(None)
        for name, value in values.items():
            setattr(record, name, value)
        store.set_setting(f"job:{record.id}", record.to_text())


def test_every_run_is_listed_also_one_that_found_nothing_changed(lodestone: Run, jobs: Run, job: Path) -> None:
    assert lodestone("index", "--job", job).code == 0
    assert lodestone("index", "--job", job).code == 0
    assert lodestone("index", job.parent / "nowhere", "--job", job).code == 2
    failed, nothing, first = listed(jobs)
    assert [each["state"] for each in (failed, nothing, first)] == ["failed", "done", "done"]
    assert "nowhere does not exist" in failed["error"]
    assert first["counts"] == {
        **{"files": 4, "indexed": 4, "passages": 4, "bytes": 4 * len("This is a.txt.")},
        **{"unchanged": 0, "deleted": 0, "failed": 0, "skipped": 0},
    }
    assert (nothing["counts"]["indexed"], nothing["counts"]["unchanged"]) == (0, 4)
    assert first["command"] == f"lodestone index --job {job}"

    shown = jobs("list").out.splitlines()
    assert shown[0].split() == ["job", "state", "started", "took", "files", "passages", "failed"]
    assert [line.split()[0] for line in shown[1:]] == [failed["id"], nothing["id"], first["id"]]
    assert all(len(line) <= 80 for line in shown)
    assert re.search("done +4 unchanged", jobs("show", nothing["id"]).out)


def test_the_definition_of_a_job_of_many_files_is_shown_in_part(
    lodestone: Run, jobs: Run, job: Path, index: Path
) -> None:
    lodestone("index", "--job", job)
    change(index, definition="sources:\n" + "- /docs/some-file.txt\n" * 1000)
    shown = jobs("show").out
    assert "and 20,008 characters more, which --json has" in " ".join(shown.split())
    assert len(json.loads(jobs("show", "--json").out)["definition"]) == 22_009


def test_a_job_is_named_by_the_beginning_of_its_id(lodestone: Run, jobs: Run, job: Path) -> None:
    lodestone("index", "--job", job)
    (record,) = listed(jobs)
    assert json.loads(jobs("show", record["id"][:3].upper(), "--json").out)["id"] == record["id"]
    assert json.loads(jobs("show", "--json").out)["id"] == record["id"]
    unknown = jobs("show", "zzz")
    assert (unknown.code, unknown.out) == (2, "")
    assert f"has no job 'zzz'; it has {record['id']}" in unknown.err
    lodestone("index", "--job", job)
    assert "several jobs begin with" in jobs("show", record["id"][:2]).err


@pytest.mark.parametrize("verb", ["list", "show", "resume", "cancel", "errors", "retry"])
def test_without_an_index_there_is_no_job(jobs: Run, verb: str) -> None:
    outcome = jobs(verb)
    assert (outcome.code, outcome.out) == (2, "")
    assert "there is no index in" in outcome.err


def test_an_index_of_another_version_has_no_jobs_yet(jobs: Run, index: Path) -> None:
    with FaissDocumentStore(str(index)) as store:
        store.set_root("docs", "/docs")
        store.set_setting("job:broken", "{")
    assert "No job has been recorded" in jobs("list").out
    assert "has no record of a job" in jobs("show").err


def test_a_killed_job_has_died_and_is_resumed_from_any_folder(
    jobs: Run, job: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(job.parent)
    with told("index", "--job", "job.yaml") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "writing\n"
        running = json.loads(jobs("show", "--json").out)
        assert (running["state"], running["pid"], running["files"]) == ("running", process.pid, 4)
        assert running["definition"].startswith(f"sources:\n- {job.parent}/docs\n")
        refused = jobs("resume")
        assert (refused.code, "is running, as process" in refused.err) == (2, True)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert listed(jobs)[0]["state"] == "died"
    assert "died" in jobs("list").out
    assert re.search(r"no job of .* is running \(the last one is .*, state: died\)", jobs("cancel").err)
    assert len(held(index)) < 4

    monkeypatch.chdir("/")
    resumed = jobs("resume")
    assert resumed.code == 0
    assert "Indexed 3 files" in resumed.out
    assert held(index) == dict.fromkeys(NAMES, "indexed")
    last, died = listed(jobs)
    assert (last["state"], last["of"], died["state"]) == ("done", died["id"], "died")


def test_cancel_waits_for_the_batch_and_the_job_can_be_resumed(
    jobs: Run, job: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask, asked = processes.ask_to_stop, threading.Event()

    def ask_to_stop(pid: int, known_as: str | None) -> bool:
        sent = ask(pid, known_as)
        asked.set()
        return sent

    monkeypatch.setattr(processes, "ask_to_stop", ask_to_stop)
    with told("index", "--job", job) as process, ThreadPoolExecutor() as threads:
        assert process.stdin is not None
        cancelling = threads.submit(jobs, "cancel")
        assert asked.wait(60)
        assert process.poll() is None
        assert not cancelling.done()
        process.stdin.close()
        assert process.wait() == 1
        outcome = cancelling.result()
    (record,) = listed(jobs)
    assert record["state"] == "stopped"
    files = record["counts"]["indexed"]
    assert 1 <= files < 4
    assert len(held(index)) == files
    assert outcome.code == 0
    assert outcome.out.splitlines()[1] == f"Resume with: lodestone jobs resume {record['id']} --index {index}"
    assert jobs("resume").code == 0
    assert len(held(index)) == 4


def test_a_recycled_process_id_is_never_signalled(lodestone: Run, jobs: Run, job: Path, index: Path) -> None:
    lodestone("index", "--job", job)
    with subprocess.Popen(["sleep", "60"]) as innocent:
        change(index, state="running", pid=innocent.pid)
        assert listed(jobs)[0]["state"] == "died"
        assert jobs("cancel").code == 2
        assert innocent.poll() is None
        innocent.kill()


def test_a_job_on_another_host_is_cancelled_there(jobs: Run, job: Path, index: Path) -> None:
    with told("host=elsewhere", "index", "--job", job):
        assert listed(jobs)[0]["state"] == "running"
        refused = jobs("cancel")
        assert (refused.code, "runs on elsewhere, as process" in refused.err) == (2, True)
        assert jobs("resume").code == 2
    assert listed(jobs)[0]["state"] == "running"  # nobody here can see that it was killed
    change(index, seen=0.0)
    assert listed(jobs)[0]["state"] == "died"


def test_two_at_once_on_one_folder_are_one_job(lodestone: Run, jobs: Run, job: Path) -> None:
    with told("index", "--job", job) as process:
        second = lodestone("index", "--job", job)
        assert (second.code, f"is being written to by process {process.pid}" in second.err) == (2, True)
        assert [each["pid"] for each in listed(jobs)] == [process.pid]


def test_errors_are_listed_by_reason_and_only_they_are_retried(
    lodestone: Run, jobs: Run, job: Path, index: Path
) -> None:
    docs = job.parent / "docs"
    (docs / "empty.txt").write_text("")
    (docs / "large.txt").write_text("x" * 2_000_000)
    job.write_text(job.read_text() + "limits: {megabytes: 1}\n")
    assert lodestone("index", "--job", job).code == 1
    lines = jobs("errors").out.splitlines()
    assert lines[:4] == [
        "the file is empty (1 file)",
        f"  {docs}/empty.txt",
        "too large: 2 MiB, the limit is 1 MiB; split it (1 file)",
        f"  {docs}/large.txt",
    ]
    failed = json.loads(jobs("errors", "--json").out)
    assert [each["path"] for each in failed["failed"]] == [f"{docs}/empty.txt", f"{docs}/large.txt"]

    (docs / "empty.txt").write_text("No longer.")
    (docs / "large.txt").write_text("Small now.")
    (docs / "new.txt").write_text("New.")
    (docs / "a.txt").write_text("Changed.")
    (docs / "b.txt").unlink()
    retried = jobs("retry", "--json")
    report = json.loads(retried.out.splitlines()[-1])
    assert (retried.code, report["indexed"], report["deleted"], report["files"]) == (0, 2, 0, 2)
    assert held(index).keys() == {*NAMES, "empty.txt", "large.txt"}
    last, first = listed(jobs)
    assert (last["kind"], last["of"], last["state"]) == ("retry", first["id"], "done")
    assert "No file failed" in jobs("errors").out
    assert jobs("errors", first["id"]).out.splitlines() == [
        *lines[:4],
        f"Try them again with: lodestone jobs retry {first['id']} --index {index}",
    ]
    assert "nothing to retry" in jobs("retry").out
    assert lodestone("index", "--job", job).code == 0
    assert held(index).keys() == {"a.txt", "c.txt", "d.txt", "empty.txt", "large.txt", "new.txt"}


def test_a_failed_file_that_is_gone_is_not_retried_and_goes_with_the_next_run(
    lodestone: Run, jobs: Run, job: Path, index: Path
) -> None:
    (job.parent / "docs" / "empty.txt").write_text("")
    assert lodestone("index", "--job", job).code == 1
    (job.parent / "docs" / "empty.txt").unlink()
    outcome = jobs("retry")
    assert (outcome.code, "no failed file that is still there" in outcome.out) == (0, True)
    assert held(index)["empty.txt"] == "failed"
    outcome = jobs("resume", listed(jobs)[-1]["id"])
    assert (outcome.code, "empty.txt" in held(index)) == (0, False)


def test_a_job_that_died_names_the_failures_that_the_ledger_knows(jobs: Run, job: Path) -> None:
    (job.parent / "docs" / "a.txt").write_text("")
    with told("index", "--job", job) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "writing\n"
        assert [each["path"] for each in json.loads(jobs("errors", "--json").out)["failed"]] == ["docs/a.txt"]
    assert "docs/a.txt" in jobs("errors").out


def test_secrets_in_urls_are_not_kept_and_such_a_job_cannot_be_resumed(
    lodestone: Run, jobs: Run, job: Path, index: Path
) -> None:
    lodestone("index", "--job", job)
    refused = lodestone("index", "https://ann:pa55@localhost:9/docs", "--job", job)
    assert (refused.code, "must not hold a user or password" in refused.err) == (2, True)
    lodestone("index", "memory://nothing?sig=pa55", "--job", job)
    with FaissDocumentStore(str(index)) as store:
        assert "pa55" not in str(store.settings(""))
    last = listed(jobs)[0]
    assert "memory://nothing?sig=<secret>" in last["command"]
    assert "a URL with a secret, which is not kept" in jobs("resume").err


def test_a_job_whose_folder_or_index_has_moved_is_resumed_where_the_record_is(
    lodestone: Run, jobs: Run, job: Path, index: Path
) -> None:
    lodestone("index", "--job", job)
    (record,) = listed(jobs)
    moved = shutil.move(index, job.parent / "moved")
    outcome = lodestone("jobs", "resume", record["id"], "--index", moved, "--json")
    assert (outcome.code, json.loads(outcome.out.splitlines()[-1])["index"]) == (0, str(moved))
    shutil.move(job.parent / "docs", job.parent / "gone")
    assert "nothing to resume" in lodestone("jobs", "resume", "--index", moved).err
    outcome = lodestone("jobs", "resume", record["id"], "--index", moved)
    assert (outcome.code, "docs does not exist" in outcome.err) == (2, True)


# Sends itself a signal when it is about to import a module.
INTERRUPTED = """
import os, sys
at, number = sys.argv[1], int(sys.argv[2])
sys.argv[:] = ["lodestone", *sys.argv[3:]]

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == at:
            os.kill(os.getpid(), number)

sys.meta_path.insert(0, Finder())
from lodestone.__main__ import main
main()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("module", ["typer", "haystack", "lodestone.indexing.job_recorder"])
def test_a_signal_while_libraries_load_ends_with_words(
    job: Path, index: Path, number: signal.Signals, module: str
) -> None:
    command = [sys.executable, "-c", INTERRUPTED, module, str(number.value), "index", "--job", str(job)]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"Resume with: lodestone index --job {job}\n"
    assert not index.exists()


def test_a_second_interrupt_ends_a_job_that_is_stopping(job: Path, jobs: Run) -> None:
    with told("index", "--job", job) as process:
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.send_signal(signal.SIGINT)
        assert process.stdin is not None
        process.stdin.close()  # the thread that writes must come to its end
        assert process.wait() == 1
    assert listed(jobs)[0]["state"] == "stopped"


def test_records_of_newer_versions_are_read() -> None:
    text = JobRecord("0", "lodestone index", "sources: []").to_text()
    newer = JobRecord.from_text(text.replace('"kind"', '"invented": 1, "kind"'))
    assert newer is not None
    assert newer.command == "lodestone index"


@pytest.fixture
def cluster(elasticsearch_url: str, job: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Name of an index in Elasticsearch, into which the job goes."""
    monkeypatch.setenv("ELASTICSEARCH_URL", elasticsearch_url)
    type_ = "lodestone.components.stores.elasticsearch.elasticsearch_store.ElasticsearchStore"
    pipeline = job.parent / "pipeline.yaml"
    text = pipeline.read_text().replace("lodestone.components.stores.faiss_document_store.FaissDocumentStore", type_)
    pipeline.write_text(text.replace("{path: unused}", "{index: unused, replicas: 0, max_retries: 1}"))
    job.write_text(job.read_text().replace("index: index\n", ""))
    name = f"test-jobs-{uuid.uuid4().hex[:8]}"
    yield name
    with ElasticsearchStore(index=name) as store:
        found = store.client.indices.get(index=f"{name}-*", allow_no_indices=True).body
        if found:
            store.client.indices.delete(index=sorted(found))


def test_a_job_into_a_cluster_is_cancelled_from_any_host_and_resumed(
    lodestone: Run, job: Path, cluster: str, tmp_path: Path
) -> None:
    at = ("--pipeline", job.parent / "pipeline.yaml", "--index", cluster)
    with told("host=elsewhere", "index", "--job", job, "--index", cluster) as process:
        with ThreadPoolExecutor() as threads:
            cancelling = threads.submit(lodestone, "jobs", "cancel", *at)
            with pytest.raises(subprocess.TimeoutExpired):  # its batch is not written yet
                process.wait(3)
            assert process.stdin is not None
            while not cancelling.done():
                process.stdin.write("\n")
                process.stdin.flush()
                time.sleep(0.2)
        assert cancelling.result().code == 0
        assert cancelling.result().out.startswith("Stopped job ")
        assert process.wait() == 1
    with ElasticsearchStore(index=cluster) as store:
        assert store.settings("cancel-job:") == {}
        assert 1 <= len(list(store.sources())) < 4
    resumed = lodestone("jobs", "resume", *at, "--json")
    assert (resumed.code, json.loads(resumed.out.splitlines()[-1])["passages_in_index"]) == (0, 4)
    states = [json.loads(line)["state"] for line in lodestone("jobs", "list", *at, "--json").out.splitlines()]
    assert states == ["done", "stopped"]


def test_a_swapped_index_keeps_the_records_of_its_jobs(lodestone: Run, job: Path, cluster: str) -> None:
    at = ("--pipeline", job.parent / "pipeline.yaml", "--index", cluster)
    assert lodestone("index", "--job", job, "--index", cluster, "--swap").code == 0
    assert lodestone("index", "--job", job, "--index", cluster).code == 0
    assert lodestone("index", "--job", job, "--index", cluster, "--swap").code == 0
    records = [json.loads(line) for line in lodestone("jobs", "list", *at, "--json").out.splitlines()]
    assert [(each["swap"], each["state"]) for each in records] == [(True, "done"), (False, "done"), (True, "done")]
    resumed = lodestone("jobs", "resume", records[0]["id"], *at, "--json")
    assert (resumed.code, json.loads(resumed.out.splitlines()[-1])["indexed"]) == (0, 4)  # built anew once more
    names = [json.loads(line) for line in lodestone("store", "indices", *at, "--json").out.splitlines()]
    assert [one["state"] for one in names[0]["indices"]] == ["old", "serving"]
