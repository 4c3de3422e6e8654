"""What indexing by way of Ray costs on one machine: the same files by the local executor and by Ray.

    python benchmarks/ray_executor.py --data FOLDER [--address HOST:PORT] [--workers N]
    python benchmarks/ray_executor.py --documents 2000 [--address HOST:PORT] [--workers N]

Each row is a whole job into a FAISS folder of its own. Ray's own start and end are measured apart, with a job that has
one small file; with --address the cluster is running already. Both indexes are compared in the end: passages, metadata
and ledger must be equal, vectors to 1e-3.
"""

import argparse
import os
import platform
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from haystack import Document

from lodestone import FaissDocumentStore
from lodestone.indexing import IndexingJob, Report, Settings
from lodestone.indexing.executors import Executor, LocalExecutor, RayExecutor
from lodestone.pipelines import load_pipeline
from lodestone.pipelines.stages import cut_at_embedder

WORDS = """
the ferry harbour timetable passengers weather captain engine island office ticket luggage safety tide
"""


def main() -> None:
    """Run all jobs and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--data", type=Path, help="folder of files to index")
    what.add_argument("--documents", type=int, help="number of documents to generate")
    parser.add_argument("--address", help="a cluster that runs; else Ray is started on this machine for each job")
    parser.add_argument("--workers", type=int, help="processes that convert")
    arguments = parser.parse_args()
    settings = Settings(workers=arguments.workers)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = arguments.data if arguments.data is not None else generated(folder / "generated", arguments.documents)
        single = generated(folder / "single", 1)
        executors: dict[str, Callable[[], Executor]] = {
            "local": LocalExecutor,
            "ray": lambda: RayExecutor(arguments.address),
        }
        reports = {}
        print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs, address {arguments.address}")
        print(
            f"{'':14}{'files':>8}{'passages':>10}{'seconds':>10}{'one file':>10}{'passages/s':>12}{'without start':>15}"
        )
        for executor, make in executors.items():
            start = index(single, folder / f"{executor}-single", make(), settings).seconds
            report = reports[executor] = index(data, folder / executor, make(), settings)
            rates = report.passages / report.seconds, report.passages / max(report.seconds - start, 1e-9)
            print(
                f"{executor:14}{report.indexed:>8,}{report.passages:>10,}{report.seconds:>10.1f}{start:>10.1f}"
                f"{rates[0]:>12,.0f}{rates[1]:>15,.0f}"
            )
        print(f"ray takes {reports['ray'].seconds / reports['local'].seconds:.2f} times as long as local")
        check(content(folder / "local"), content(folder / "ray"))
        print("both indexes are equal")


def generated(folder: Path, count: int) -> Path:
    """So many texts of about 300 words."""
    folder.mkdir()
    chooser = random.Random(0)
    for number in range(count):
        (folder / f"{number:06}.txt").write_text(f"{number} {' '.join(chooser.choices(WORDS.split(), k=300))}.\n")
    return folder


def index(data: Path, folder: Path, executor: Executor, settings: Settings) -> Report:
    """One job."""
    stages = cut_at_embedder(load_pipeline("indexing_faiss", index=folder))
    report = IndexingJob(stages, settings=settings, executor=executor).run([data])
    stages.document_store.close()
    return report


def content(folder: Path) -> tuple[dict[str, Document], dict[str, Any]]:
    """The passages and the ledger of an index, without times."""
    with FaissDocumentStore(str(folder)) as store:
        passages = {document.id: document for document in store.filter_documents()}
        ledger = {record.path: (record.state, record.content_hash, record.error) for record in store.sources()}
        return passages, ledger


def check(one: tuple[dict[str, Document], dict[str, Any]], other: tuple[dict[str, Document], dict[str, Any]]) -> None:
    """Compare two indexes."""
    assert one[1] == other[1], "the ledgers differ"
    assert one[0].keys() == other[0].keys(), "the passages differ"
    for key, passage in one[0].items():
        assert (passage.content, passage.meta) == (other[0][key].content, other[0][key].meta), f"{key} differs"
        difference = np.subtract(passage.embedding, other[0][key].embedding)
        assert np.abs(difference).max() < 1e-3, f"the vectors of {key} differ"


if __name__ == "__main__":
    main()
