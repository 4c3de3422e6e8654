"""Compares the store with faiss-haystack's on the same passages, in one run.

    python3 -m venv /tmp/peer && /tmp/peer/bin/pip install faiss-haystack
    python benchmarks/faiss_peer.py --peer /tmp/peer/bin/python --data FOLDER [--passages 100000]

Both stores hold the same documents with 384 dimensions in a flat index. Each runs in a process of its own, with its own
libraries and as many threads. The peer keeps nothing until it is saved: what it has after writing is lost with the
process, so a delete is given both as the call and as the call with what it takes to be kept. The store here also
indexes words, which the peer cannot search: that is done before saving, and given as a row of its own.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

WORKER = "--worker"  # how a process of one side is called
BATCH = 5000
QUERIES = 100
DELETED = 1000
ADDED = 1000
FILTERS = {"10 %": 0.1, "0.1 %": 0.001}


def main() -> None:
    """Make the passages, run both, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, help="the Python of an environment with faiss-haystack")
    parser.add_argument("--data", type=Path, required=True, help="a folder with .jsonl, .json (SQuAD), .md, .txt")
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "lodestone-sentences")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lodestone-peer-") as name:
        folder = Path(name)
        make_passages(arguments.data, arguments.cache, arguments.passages + ADDED, folder)
        peer = run(arguments.peer, "peer", folder)
        ours = run(sys.executable, "ours", folder)
    print(f"\n{arguments.passages:,} passages, 384 dimensions, flat index\n")
    print("| step | faiss-haystack | lodestone | times faster |")
    print("| --- | ---: | ---: | ---: |")
    for step, value in ours.items():
        theirs = peer.get(step)
        if step.startswith("hits"):
            print(f"| {step} | {theirs} | {value} | |")
        elif theirs is None:
            print(f"| {step} | | {seconds(value)} | |")
        else:
            print(f"| {step} | {seconds(theirs)} | {seconds(value)} | {theirs / value:,.1f} |")


def make_passages(data: Path, cache: Path, count: int, folder: Path) -> None:
    """Write the passages and the queries where both processes can read them."""
    from sentence_passages import SentencePassages

    passages = SentencePassages(data, cache)
    vectors = []
    with (folder / "passages.jsonl").open("w", encoding="utf-8") as file:
        for batch in passages.batches(count, BATCH):
            for document in batch:
                record = {"id": document.id, "content": document.content, "meta": document.meta}
                file.write(json.dumps(record) + "\n")
                vectors.append(np.array(document.embedding, dtype=np.float32))
    np.save(folder / "vectors.npy", np.stack(vectors))
    np.save(folder / "queries.npy", passages.query_vectors[:QUERIES])


def run(python: str, which: str, folder: Path) -> dict[str, Any]:
    """Run one side in its own process."""
    command = [python, str(Path(__file__).resolve()), WORKER, which, str(folder)]
    environment = {**os.environ, "HAYSTACK_TELEMETRY_ENABLED": "False"}
    if which == "peer":
        environment.pop("PYTHONPATH", None)
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout.splitlines()
    print(which, lines[-1], flush=True)
    return dict(json.loads(lines[-1]))


def work(which: str, folder: Path) -> None:
    """Measure one side."""
    from haystack import Document

    vectors, queries = np.load(folder / "vectors.npy"), np.load(folder / "queries.npy").tolist()
    with (folder / "passages.jsonl").open(encoding="utf-8") as file:
        documents = [
            Document(**json.loads(line), embedding=vector.tolist()) for line, vector in zip(file, vectors, strict=True)
        ]
    documents, more = documents[:-ADDED], documents[-ADDED:]
    index = folder / f"index-{which}"
    figures: dict[str, Any] = {}
    store = open_store(which, index)
    with_time(figures, "writing", lambda: write(store, documents))
    if which == "ours":
        with_time(figures, "indexing words", lambda: store.bm25_retrieval("words"))
    with_time(figures, "saving", lambda: save(which, store, index))
    with_time(figures, "writing 1,000 more, kept", lambda: write_and_keep(which, store, index, more))
    if which == "ours":
        store.close()

    def open_and_search() -> Any:
        opened = open_store(which, index)
        search(which, opened, queries[0])
        return opened

    store = with_time(figures, "opening, to the first answer", open_and_search)
    measure(figures, "search", lambda query: search(which, store, query), queries)
    for name, share in FILTERS.items():
        filters = {"field": "meta.number", "operator": "<", "value": int(len(documents) * share)}
        found = measure(figures, f"search, {name} kept", partial(search, which, store, filters=filters), queries)
        figures[f"hits of 10, {name} kept"] = float(np.mean(found))
    doomed = [document.id for document in documents[: 2 * DELETED]]
    with_time(figures, "deleting 1,000", lambda: store.delete_documents(doomed[:DELETED]))
    with_time(figures, "deleting 1,000, kept", lambda: delete_and_keep(which, store, index, doomed[DELETED:]))
    print(json.dumps(figures))


def open_store(which: str, index: Path) -> Any:
    """Open the store, or make it."""
    if which == "peer":
        from haystack_integrations.document_stores.faiss import FAISSDocumentStore

        return FAISSDocumentStore(index_path=str(index), embedding_dim=384)
    from lodestone import FaissDocumentStore

    return FaissDocumentStore(index, index_type="flat")


def write(store: Any, documents: list[Any]) -> None:
    """Write in batches."""
    for start in range(0, len(documents), BATCH):
        store.write_documents(documents[start : start + BATCH])


def save(which: str, store: Any, index: Path) -> None:
    """Bring all to the disk."""
    if which == "peer":
        store.save(str(index))
    else:
        store.save()


def write_and_keep(which: str, store: Any, index: Path, documents: list[Any]) -> None:
    """Write, and do what it takes to find the documents again after a crash."""
    write(store, documents)
    if which == "peer":
        save(which, store, index)


def delete_and_keep(which: str, store: Any, index: Path, ids: list[str]) -> None:
    """Delete, and do what it takes not to find the documents again after a crash."""
    store.delete_documents(ids)
    if which == "peer":
        save(which, store, index)


def search(which: str, store: Any, query: list[float], filters: dict[str, Any] | None = None) -> list[Any]:
    """The ten nearest."""
    if which == "peer":
        return list(store.search(query, top_k=10, filters=filters))
    return list(store.embedding_retrieval(query, filters, 10))


def with_time(figures: dict[str, Any], name: str, step: Callable[[], Any]) -> Any:
    """Time a step."""
    started = time.perf_counter()
    result = step()
    figures[name] = time.perf_counter() - started
    return result


def measure(
    figures: dict[str, Any], name: str, ask: Callable[[list[float]], list[Any]], queries: list[list[float]]
) -> list[int]:
    """The median time of a search.

    :returns: How many hits each query had.
    """
    times, hits = [], []
    for query in queries:
        started = time.perf_counter()
        hits.append(len(ask(query)))
        times.append(time.perf_counter() - started)
    figures[name] = float(np.median(times))
    return hits


def seconds(value: float) -> str:
    """A time in a unit that suits it."""
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.2f} ms"


if __name__ == "__main__":
    if sys.argv[1:2] == [WORKER]:
        work(sys.argv[2], Path(sys.argv[3]))
    else:
        main()
