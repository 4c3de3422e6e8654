"""Writes, opens and searches a store of many passages, and says what ten times as many would take.

    python benchmarks/million.py --data FOLDER [--passages 1000000] [--index FOLDER] > benchmarks/results/million.md

The passages are recombined from the sentences of the texts under --data (`sentence_passages.py`), with 384 dimensions.
Queries are the questions of the SQuAD files among them, with their own embeddings. Everything is measured at a quarter
of --passages too, in the same run, so that the slopes are there. Each step has a process of its own: the one that
searches opens what the others have made, and looks for the true nearest after it was measured. The table is Markdown.
"""

import argparse
import json
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from haystack import Document
from sentence_passages import SentencePassages

from lodestone import FaissDocumentStore
from lodestone.components.stores import pause
from lodestone.components.stores.core import StoreCore
from lodestone.components.stores.database import Database
from lodestone.components.stores.passage_table import PassageTable

BATCH = 5000
QUARTER = 4
EXTRAPOLATED = 10_000_000
QUERIES = 500
FILTERED = 100  # queries of these for each filter
CANDIDATES = 50  # that hybrid search takes from its dense side
TOP_K = 10
TEN_MILLION = """
The last column takes the growth between the two sizes to go on. Ten million are served by `index_type: ivf`, which
`auto` takes by itself: its file is mapped, so memory holds only the parts that searches touch, and shares them with
other processes. A lower `target_recall` makes searches faster in proportion to the clusters that it leaves out.
"""
SHARES = {"0.1 %": 0.001, "10 %": 0.1, "90 %": 0.9}


def main() -> None:
    """Measure a quarter, measure all, extrapolate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, required=True, help="a folder of .jsonl, .json (SQuAD), .md and .txt files"
    )
    parser.add_argument("--passages", type=int, default=1_000_000)
    parser.add_argument("--index", type=Path, help="where the indexes are made; by default a temporary folder")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "lodestone-sentences")
    parser.add_argument("--index-type", default="auto")
    parser.add_argument("--keep", action="store_true", help="leave the indexes where they are")
    arguments = parser.parse_args()
    base = arguments.index or Path(tempfile.mkdtemp(prefix="lodestone-million-"))
    passages = SentencePassages(arguments.data, arguments.cache)
    if passages.possible < 1.5 * arguments.passages:
        parser.error(f"the texts under {arguments.data} make only {passages.possible} different passages")
    columns: list[dict[str, Any]] = []
    try:
        for count in (arguments.passages // QUARTER, arguments.passages):
            folder = base / str(count)
            column = {"passages": count}
            for step in (write, index, search):
                column |= in_fresh_process(step, folder, passages, count, arguments.index_type)
            columns.append(column)
            if not arguments.keep:
                shutil.rmtree(folder)
    finally:
        if not arguments.keep:
            shutil.rmtree(base, ignore_errors=True)
    print_table(columns)


def in_fresh_process(step: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Run a step where memory holds nothing else."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_report, args=(sender, step, arguments))
    process.start()
    sender.close()
    try:
        figures: dict[str, Any] = receiver.recv()
    except EOFError:
        raise SystemExit(f"{step.__name__} failed") from None
    process.join()
    print(json.dumps(figures), file=sys.stderr, flush=True)
    return figures


def _report(sender: Any, step: Callable[..., dict[str, Any]], arguments: tuple[Any, ...]) -> None:
    sender.send(step(*arguments))


def write(folder: Path, passages: SentencePassages, count: int, index_type: str) -> dict[str, Any]:
    """Write all passages, so that they are safe in SQLite, and then index their words.

    The store would begin to index words and vectors after half a minute of writing without a pause: here that is put
    off, so that each is measured apart.
    """
    store = FaissDocumentStore(folder, index_type=index_type)
    seconds = processor = 0.0
    with patch.multiple(pause, _PAUSE_SECONDS=1e9, _LONGEST_WAIT_SECONDS=1e9):
        for batch in passages.batches(count, BATCH):
            started, processor_started = time.perf_counter(), time.process_time()
            store.write_documents(batch)
            seconds += time.perf_counter() - started
            processor += time.process_time() - processor_started
        started = time.perf_counter()
        store.bm25_retrieval(passages.queries[0])
        words = time.perf_counter() - started
    # The process ends as if it were killed: what is left to do at closing is the next step's, and nothing is lost.
    rates = {"writes/s": count / seconds, "writes/s of processor time": count / processor}
    return {**rates, "BM25 indexing s": words, "memory MB, writing": peak_mb()}


def index(folder: Path, passages: SentencePassages, count: int, index_type: str) -> dict[str, Any]:
    """Build the vector index."""
    store = FaissDocumentStore(folder, index_type=index_type)
    started = time.perf_counter()
    store.compact()
    seconds = time.perf_counter() - started
    store.close()
    statistics = store.statistics()
    sizes = {f"{part} MB on the disk": size / 1e6 for part, size in statistics["bytes"].items()}
    measured = {"index type": statistics["index_type"], "recall@10 when built": statistics["recall"]}
    return {"vector index building s": seconds, "memory MB, building": peak_mb(), **sizes, **measured}


def search(folder: Path, passages: SentencePassages, count: int, index_type: str) -> dict[str, Any]:
    """Open, search in all ways, and compare with what is true."""
    texts, vectors = passages.queries[:QUERIES], passages.query_vectors[:QUERIES].tolist()
    filters = {name: {"field": "meta.number", "operator": "<", "value": int(count * SHARES[name])} for name in SHARES}
    figures: dict[str, Any] = {"memory MB, before opening": resident_mb()}
    started = time.perf_counter()
    store = FaissDocumentStore(folder, index_type=index_type)
    store.hybrid_retrieval(texts[-1], vectors[-1])
    figures["opening s"] = time.perf_counter() - started
    found = {
        "dense": measure(figures, "dense", lambda n: store.embedding_retrieval(vectors[n])),
        "BM25": measure(figures, "BM25", lambda n: store.bm25_retrieval(texts[n])),
        "hybrid": measure(figures, "hybrid", lambda n: store.hybrid_retrieval(texts[n], vectors[n])),
    }
    for name, wanted in filters.items():
        hits = measure(figures, f"dense, {name} kept", partial(filtered, store, vectors, wanted), FILTERED)
        found[name] = hits
        figures[f"dense, {name} kept, fewest hits"] = min(map(len, hits))
    figures["memory MB, searching"] = resident_mb()
    nearest = true_nearest(folder, passages.query_vectors[:QUERIES], CANDIDATES)
    figures["dense recall@10"] = recall(found["dense"], nearest)
    for name, share in SHARES.items():
        true = true_nearest(folder, passages.query_vectors[:FILTERED], TOP_K, int(count * share))
        figures[f"dense, {name} kept, recall@10"] = recall(found[name], true)
    figures["hybrid recall@10"] = recall(found["hybrid"], exact_hybrid(store, texts, vectors, nearest))
    return figures


def measure(
    figures: dict[str, Any], name: str, ask: Callable[[int], list[Document]], queries: int = QUERIES
) -> list[list[int]]:
    """Time a search for every query, once each.

    :returns: For each query the numbers of the passages found.
    """
    for number in range(queries - 5, queries):
        ask(number)
    times, found = [], []
    for number in range(queries):
        started = time.perf_counter()
        hits = ask(number)
        times.append((time.perf_counter() - started) * 1000)
        found.append([hit.meta["number"] for hit in hits])
    figures[f"{name} p50 ms"], figures[f"{name} p99 ms"] = np.percentile(times, [50, 99]).tolist()
    return found


def filtered(store: FaissDocumentStore, vectors: list[list[float]], filters: dict[str, Any], n: int) -> list[Document]:
    """Search among those that match."""
    return store.embedding_retrieval(vectors[n], filters, TOP_K)


def true_nearest(folder: Path, queries: Any, count: int, below: int | None = None) -> list[list[tuple[int, float]]]:
    """Compare the queries with every vector in the database.

    :param folder: The store's folder.
    :param queries: Shape (n, dim), float32.
    :param count: How many to find.
    :param below: Only passages with a lower number.
    :returns: For each query numbers and scores, best first.
    """
    import faiss

    database = Database(folder / "passages.sqlite")
    best = faiss.ResultHeap(len(queries), count, keep_max=True)
    last = database.sequence if below is None else below
    with database.snapshot():
        for rows, vectors in PassageTable(database).vectors_between(0, last, 20_000):
            scores, places = faiss.knn(queries, vectors, min(count, len(rows)), faiss.METRIC_INNER_PRODUCT)
            best.add_result(scores, rows[places] - 1)  # rows are numbered from 1, in the order written
    best.finalize()
    database.close()
    return [list(zip(ids, scores, strict=True)) for ids, scores in zip(best.I.tolist(), best.D.tolist(), strict=True)]


def exact_hybrid(
    store: FaissDocumentStore, texts: list[str], vectors: list[list[float]], nearest: list[list[tuple[int, float]]]
) -> list[list[tuple[int, float]]]:
    """What hybrid search returns where its dense side is exact."""
    found = []
    for text, vector, hits in zip(texts, vectors, nearest, strict=True):
        rows = [(number + 1, score) for number, score in hits]
        with patch.object(StoreCore, "nearest", lambda *arguments, rows=rows: rows[: arguments[3]]):
            found.append([(hit.meta["number"], 0.0) for hit in store.hybrid_retrieval(text, vector, top_k=TOP_K)])
    return found


def recall(found: list[list[int]], true: list[list[tuple[int, float]]]) -> float:
    """The share of the true ten best that were found."""
    shares = [
        len({number for number, _ in best[:TOP_K]} & set(numbers)) / min(TOP_K, len(best))
        for numbers, best in zip(found, true, strict=True)
    ]
    return float(np.mean(shares))


def resident_mb() -> float:
    """Memory of this process that is in RAM, with what it shares with others."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def peak_mb() -> float:
    """The most memory that this process has had in RAM."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def print_table(columns: list[dict[str, Any]]) -> None:
    """A row a figure: both sizes, and ten million by the power law through them."""
    few, many = columns
    ratio = many["passages"] / few["passages"]
    sizes = f"{few['passages']:,} | {many['passages']:,}"
    print(f"# A store of {many['passages']:,} passages\n")
    print(f"`python benchmarks/million.py {' '.join(sys.argv[1:])}`, 384 dimensions, {QUERIES} questions one by one, ")
    print(f"{FILTERED} for each filter, {os.cpu_count()} cores.\n")
    print(f"| figure | {sizes} | grows with n to the | {EXTRAPOLATED:,}, reckoned |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, value in many.items():
        before = few[name]
        if name == "passages":
            continue
        if not isinstance(value, float) or "recall" in name or name.startswith("writes/s"):
            print(f"| {name} | {text_of(before)} | {text_of(value)} | | |")
            continue
        power = float(np.log(max(value, 1e-9) / max(before, 1e-9)) / np.log(ratio))
        reckoned = value * (EXTRAPOLATED / many["passages"]) ** power
        print(f"| {name} | {text_of(before)} | {text_of(value)} | {power:.2f} | {text_of(reckoned)} |")
    print(TEN_MILLION)


def text_of(value: Any) -> str:
    """A figure with as many digits as it deserves."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"


if __name__ == "__main__":
    main()
