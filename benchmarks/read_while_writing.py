"""Four processes read a store while one writes: no error, no torn result, flat memory.

    python benchmarks/read_while_writing.py [--minutes 10] [--readers 4]

The writer replaces, deletes and adds batches of 20 passages, so that the store stays at some 6,000 of them, and saves,
compacts and changes the index type meanwhile. The readers search by vectors, by words, by both and by filters, fetch
and count. What belongs to one transaction must be seen whole: a batch has all of its passages in one version, or none.
Every passage must be just as it was written, no batch may be seen in an older version than before, and what is found
must exist. A search that finds nothing where something must be is an error.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from haystack import Document
from haystack.document_stores.types import DuplicatePolicy

from lodestone.components.stores import FaissDocumentStore

DIM = 64
BATCH = 20
BATCHES = 300
REPORT_SECONDS = 5.0


def main() -> None:
    """Start the processes, print memory at intervals, and exit with 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--readers", type=int, default=4)
    parser.add_argument("--role", choices=["write", "read"], help=argparse.SUPPRESS)
    parser.add_argument("--index", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    end = time.monotonic() + arguments.minutes * 60
    if arguments.role is not None:
        work = write if arguments.role == "write" else read
        work(arguments.index, end, random.Random(arguments.seed))
        return
    with tempfile.TemporaryDirectory() as name:
        index = Path(name) / "index"
        with FaissDocumentStore(index) as store:
            store.write_documents([passage(batch, 1, n) for batch in range(BATCHES) for n in range(BATCH)])
        reports = watch(index, arguments.minutes, arguments.readers)
        store.close()
        verified = store.verify()
    wrong = summarise(reports) + verified.database_problems + verified.index_problems
    for problem in wrong:
        print(f"WRONG: {problem}")
    print("no error, no torn result" if not wrong else f"{len(wrong)} problems")
    sys.exit(1 if wrong else 0)


def passage(batch: int, version: int, n: int) -> Document:
    """A passage that can be told from any other; near to those of its batch, whatever their version."""
    vector = np.random.default_rng(batch).standard_normal(DIM) + np.random.default_rng([batch, version, n]).normal(
        scale=0.1, size=DIM
    )
    content = f"word batch{batch} b{batch}v{version}n{n} " + "filling " * (n % 7)
    meta = {"batch": batch, "version": version, "n": n}
    return Document(id=f"{batch}-{n}", content=content, meta=meta, embedding=vector.astype(np.float32).tolist())


def write(index: Path, end: float, chance: random.Random) -> None:
    """Replace batches until the time is over; say once in a while how much was done."""
    versions = dict.fromkeys(range(BATCHES), 1)
    done: Counter[str] = Counter()
    said = 0.0
    with FaissDocumentStore(index) as store:
        while time.monotonic() < end:
            batch = chance.randrange(BATCHES)
            versions[batch] += 1
            if chance.random() < 0.2:
                store.delete_by_filter({"field": "meta.batch", "operator": "==", "value": batch})
                done["deletes"] += 1
            passages = [passage(batch, versions[batch], n) for n in range(BATCH)]
            done["writes"] += store.write_documents(passages, policy=DuplicatePolicy.OVERWRITE) // BATCH
            if chance.random() < 0.02:
                kind = chance.choice(["save", "save", "save", "compact", "index type"])
                done[kind] += 1
                if kind == "index type":
                    store.set_index_type(chance.choice(["flat", "ivf", "hnsw"]))
                else:
                    getattr(store, kind)()
            if time.monotonic() > said + REPORT_SECONDS:
                said = time.monotonic()
                say(done, [])
            time.sleep(0.01)
    say(done, [])


def read(index: Path, end: float, chance: random.Random) -> None:
    """Ask and compare until the time is over; say once in a while how much was asked, and what was wrong."""
    store = FaissDocumentStore(index)
    newest: dict[int, int] = {}
    asked: Counter[str] = Counter()
    wrong: list[str] = []
    said = 0.0
    while time.monotonic() < end:
        kind = chance.choice([dense, words, hybrid, filtered, whole])
        try:
            found = kind(store, chance.randrange(BATCHES))
            wrong += [f"{kind.__name__}: {problem}" for problem in compare(found, newest)]
        except Exception as error:
            wrong.append(f"{kind.__name__}: {type(error).__name__}: {error}")
        asked[kind.__name__] += 1
        if time.monotonic() > said + REPORT_SECONDS:
            said = time.monotonic()
            say(asked, wrong)
            wrong = []
        time.sleep(0.005)
    say(asked, wrong)


def dense(store: FaissDocumentStore, batch: int) -> list[Document]:
    """By the vector that the batch is around."""
    query = np.random.default_rng(batch).standard_normal(DIM).tolist()
    found = store.embedding_retrieval(query, top_k=BATCH, return_embedding=True)
    return expect(found, BATCH)


def words(store: FaissDocumentStore, batch: int) -> list[Document]:
    """By a word that all passages have."""
    return expect(store.bm25_retrieval("word filling", top_k=10, return_embedding=True), 10)


def hybrid(store: FaissDocumentStore, batch: int) -> list[Document]:
    """By both."""
    query = np.random.default_rng(batch).standard_normal(DIM).tolist()
    return expect(store.hybrid_retrieval(f"batch{batch}", query, top_k=10, return_embedding=True), 10)


def filtered(store: FaissDocumentStore, batch: int) -> list[Document]:
    """All of one batch, which must be there whole or not at all."""
    found = store.filter_documents({"field": "meta.batch", "operator": "==", "value": batch})
    versions = {document.meta["version"] for document in found}
    if len(found) not in (0, BATCH) or len(versions) > 1:
        raise ValueError(f"batch {batch} is torn: {len(found)} passages of versions {versions}")
    return found


def whole(store: FaissDocumentStore, batch: int) -> list[Document]:
    """The number of all, which is one of whole batches."""
    count = store.count_documents()
    if count % BATCH or not (BATCHES - 1) * BATCH <= count <= BATCHES * BATCH:
        raise ValueError(f"{count} passages")
    return []


def expect(found: list[Document], count: int) -> list[Document]:
    """Refuse fewer than must be found, and any twice."""
    if len({document.id for document in found}) != count:
        raise ValueError(f"{len(found)} passages of {count}")
    return found


def compare(found: list[Document], newest: dict[int, int]) -> list[str]:
    """What is wrong with passages: not as they were written, or older than what was seen before."""
    problems = []
    for document in found:
        batch, version, n = (document.meta[key] for key in ("batch", "version", "n"))
        written = passage(batch, version, n)
        if (document.id, document.content, document.embedding) != (written.id, written.content, written.embedding):
            problems.append(f"{document.id} is not as it was written")
        if version < newest.get(batch, 0):
            problems.append(f"{document.id} is of version {version}, seen before: {newest[batch]}")
        newest[batch] = max(version, newest.get(batch, 0))
    return problems


def say(counts: Counter[str], wrong: list[str]) -> None:
    """Report to the process that watches."""
    with open("/proc/self/statm") as file:
        private = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    print(json.dumps({"counts": counts, "rss": private, "wrong": wrong[:20], "more": len(wrong[20:])}), flush=True)


def watch(index: Path, minutes: float, readers: int) -> list[list[dict[str, Any]]]:
    """Run the processes to their end, printing a line a minute.

    :returns: What each process has reported; the writer is the first.
    """
    command = [sys.executable, __file__, "--minutes", str(minutes), "--index", str(index)]
    outputs = [index.with_name(f"reports-{n}") for n in range(readers + 1)]
    processes = []
    for n, output in enumerate(outputs):
        with output.open("w") as file:
            role = ["--role", "read" if n else "write", "--seed", str(n)]
            processes.append(subprocess.Popen([*command, *role], stdout=file))
    started, reports = time.monotonic(), [[] for _ in outputs]  # type: list[list[dict[str, Any]]]
    print("| minute | writer MB | readers MB | passages written | questions | store on disk MB |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    while any(process.poll() is None for process in processes):
        time.sleep(min(60.0, minutes * 6))
        reports = [collect(output) for output in outputs]
        if not all(reports):
            continue
        latest = [report[-1] for report in reports]
        asked = sum(sum(report["counts"].values()) for report in latest[1:])
        size = sum(path.stat().st_size for path in index.rglob("*") if path.exists() and path.is_file()) / 1e6
        print(
            f"| {(time.monotonic() - started) / 60:.1f} | {latest[0]['rss']:.0f} | "
            f"{', '.join(format(report['rss'], '.0f') for report in latest[1:])} | "
            f"{latest[0]['counts'].get('writes', 0) * BATCH:,} | {asked:,} | {size:.0f} |",
            flush=True,
        )
    for n, process in enumerate(processes):
        if process.returncode:
            reports[n].append({"counts": {}, "rss": 0.0, "wrong": [f"exit code {process.returncode}"], "more": 0})
    return reports


def collect(output: Path) -> list[dict[str, Any]]:
    """All that a process has reported so far."""
    return [json.loads(line) for line in output.read_text().splitlines(keepends=True) if line.endswith("\n")]


def summarise(reports: list[list[dict[str, Any]]]) -> list[str]:
    """Print what was done, and return what was wrong."""
    writer, *readers = [report[-1]["counts"] for report in reports]
    print("\nthe writer:", ", ".join(f"{count:,} {kind}" for kind, count in writer.items()))
    print(
        "the readers:", ", ".join(f"{count:,} {kind}" for kind, count in sum(map(Counter, readers), Counter()).items())
    )
    for who, report in enumerate(reports):
        memory = [entry["rss"] for entry in report if entry["rss"]]
        third = max(1, len(memory) // 3)
        print(
            f"{'reader ' + str(who) if who else 'writer'}: memory {max(memory[:third]):.0f} MB at most in the first "
            f"third, {max(memory[-third:]):.0f} MB in the last"
        )
    return [
        f"process {who}: {problem}"
        for who, report in enumerate(reports)
        for entry in report
        for problem in entry["wrong"]
    ] + [f"and {entry['more']} more" for report in reports for entry in report if entry["more"]]


if __name__ == "__main__":
    main()
