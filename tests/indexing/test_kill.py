"""A job that is killed at any moment and run again leaves the index of an undisturbed run."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lodestone import FaissDocumentStore

CORPUS = Path(__file__).resolve().parents[2] / "examples" / "corpus"
# Small batches, so that kills fall between transactions as well as into them. A line on its standard input lets the job
# write one batch, so that it cannot come to its end before the kill, however slow this test is; at the input's end it
# runs freely.
JOB = """
import sys
from pathlib import Path
from lodestone import FaissDocumentStore
from lodestone.indexing import IndexingJob, Settings
from lodestone.pipelines import load_pipeline
from lodestone.pipelines.stages import cut_at_embedder

write_sources = FaissDocumentStore.write_sources

def write_when_told(store, sources):
    sys.stdin.readline()
    write_sources(store, sources)
    print("written", flush=True)

FaissDocumentStore.write_sources = write_when_told
stages = cut_at_embedder(load_pipeline("indexing_faiss", index=sys.argv[1]))
stages.embedder.warm_up()
print("ready", flush=True)
report = IndexingJob(stages, settings=Settings(batch_files=1)).run([Path(sys.argv[2])])
stages.document_store.close()
print("stopped" if report.stopped else "complete")
sys.exit(0 if report.complete else 1)
"""


def kill_in_batch(index: Path, batches: int, share: float) -> None:
    """Run the job, and kill it a share of a batch's time after it has written some batches."""
    command = [sys.executable, "-c", JOB, str(index), str(CORPUS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        started = time.monotonic()
        process.stdin.write("\n" * (batches + 1))
        process.stdin.flush()
        for _ in range(batches):
            assert process.stdout.readline() == "written\n"
        time.sleep(share * (time.monotonic() - started) / max(batches, 1))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL


def stop_in_batch(index: Path, number: signal.Signals) -> None:
    """Run the job, and ask it to stop while it writes its third batch."""
    command = [sys.executable, "-c", JOB, str(index), str(CORPUS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("\n\n")
        process.stdin.flush()
        assert process.stdout.readline() == "written\n"
        assert process.stdout.readline() == "written\n"
        process.send_signal(number)
        process.stdin.close()
        assert process.stdout.read().split()[-1] == "stopped"
        assert process.wait() == 1


def count(index: Path) -> int:
    with FaissDocumentStore(str(index)) as store:
        return store.count_documents()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_job_that_is_asked_to_stop_finishes_its_batch_and_goes_on_when_run_again(
    number: signal.Signals, example_index: Path, tmp_path: Path
) -> None:
    index = tmp_path / "index"
    stop_in_batch(index, number)
    with FaissDocumentStore(str(index)) as store:
        files = len(list(store.sources()))
        assert 2 <= files <= 5
        assert len(store.embedding_retrieval([1.0] * 384, top_k=10_000)) == store.count_documents()
    command = [sys.executable, "-c", JOB, str(index), str(CORPUS)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    assert contents(index)[1] == contents(example_index)[1]


def contents(index: Path) -> tuple[dict[str, object], dict[str, object]]:
    with FaissDocumentStore(str(index)) as store:
        passages: dict[str, object] = {d.id: (d.content, d.meta, d.embedding) for d in store.filter_documents()}
        ledger: dict[str, object] = {
            f"{r.root}/{r.path}": (r.content_hash, r.state, r.passages) for r in store.sources()
        }
        vectors = store.embedding_retrieval([1.0] * 384, top_k=10_000)
        assert {document.id for document in vectors} == passages.keys()
        return passages, ledger


def test_a_killed_job_run_again_equals_an_undisturbed_one(example_index: Path, tmp_path: Path) -> None:
    chance, index, whole = random.Random(7), tmp_path / "index", count(example_index)
    found = []
    for batches in (2, 1, 4, 3):
        kill_in_batch(index, batches, chance.uniform(0, 1.5))
        found.append(count(index))
    assert 0 < found[0] < whole
    assert found == sorted(found)
    assert found[-1] < whole
    command = [sys.executable, "-c", JOB, str(index), str(CORPUS)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    passages, ledger = contents(index)
    expected, expected_ledger = contents(example_index)
    assert ledger == expected_ledger
    assert passages.keys() == expected.keys()
    for key, (content, meta, embedding) in passages.items():  # type: ignore[misc]
        assert (content, meta) == expected[key][:2]  # type: ignore[index]
        # The last bits of a vector depend on which passages shared its batch.
        assert np.dot(embedding, expected[key][2]) > 0.9999  # type: ignore[index]
