"""A job that is killed at any moment and run again leaves the index of an undisturbed run."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from lodestone import FaissDocumentStore

CORPUS = Path(__file__).resolve().parents[2] / "examples" / "corpus"
# Small batches, so that kills fall between transactions as well as into them.
JOB = """
import sys
from pathlib import Path
import lodestone.indexing.job as job
from lodestone.pipelines import load_pipeline
from lodestone.pipelines.stages import cut_at_embedder
job._BATCH_FILES = 2
stages = cut_at_embedder(load_pipeline("indexing_faiss", index=sys.argv[1]))
stages.embedder.warm_up()
print("ready", flush=True)
report = job.IndexingJob(stages).run([Path(sys.argv[2])])
stages.document_store.close()
sys.exit(0 if report.complete else 1)
"""


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
    moments = random.Random(7)
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", JOB, str(tmp_path / "index"), str(CORPUS)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(moments.uniform(0, 5))
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run([sys.executable, "-c", JOB, str(tmp_path / "index"), str(CORPUS)], check=True, capture_output=True)

    passages, ledger = contents(tmp_path / "index")
    expected, expected_ledger = contents(example_index)
    assert ledger == expected_ledger
    assert passages.keys() == expected.keys()
    for key, (content, meta, embedding) in passages.items():  # type: ignore[misc]
        assert (content, meta) == expected[key][:2]  # type: ignore[index]
        # The last bits of a vector depend on which passages shared its batch.
        assert np.dot(embedding, expected[key][2]) > 0.9999  # type: ignore[index]
