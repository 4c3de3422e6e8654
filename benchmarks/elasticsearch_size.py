"""What a passage takes in Elasticsearch: disk, memory for searching vectors, heap, and time to write.

    python benchmarks/elasticsearch_size.py --launcher LAUNCHER --data FOLDER [--passages 10000 20000 50000]

The launcher starts a node: `LAUNCHER start --run DIR --port N --heap SIZE`. The passages are those of `million.py`:
real sentences recombined, 384 dimensions, with the metadata that the indexing job gives them. Each size is an index of
its own with one shard and no replica, written by batches, refreshed, asked hybrid questions, and merged into one
segment, as shards that are not written to any more become by themselves. The slope is that between the smallest and
the largest size: what one passage more takes. The table is Markdown.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from elasticsearch_nodes import Nodes
from haystack.document_stores.types import DuplicatePolicy
from sentence_passages import SentencePassages

from lodestone import ElasticsearchStore

BATCH = 1000
WARM = 20
HNSW_LINKS = 16  # Elasticsearch's default m
DIM = 384


def main() -> None:
    """Measure each size and print the slopes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--launcher", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="a folder of .jsonl, .json (SQuAD), .md, .txt files")
    parser.add_argument("--passages", type=int, nargs="+", default=[10_000, 20_000, 50_000])
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "lodestone-sentences")
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--heap", default="512m")
    parser.add_argument("--port", type=int, default=19_600)
    options = parser.parse_args()
    passages = SentencePassages(options.data, options.cache)
    columns = []
    with tempfile.TemporaryDirectory() as folder:
        node = Nodes(options.launcher, Path(folder), options.port, heap=options.heap)
        try:
            node.start()
            for count in sorted(options.passages):
                columns.append(measured(node.urls[0], passages, count, options.questions))
                print(columns[-1], file=sys.stderr, flush=True)
        finally:
            node.kill()
    print_table(columns, options.heap)


def measured(url: str, passages: SentencePassages, count: int, questions: int) -> dict[str, Any]:
    """Write, ask, merge, and look at what it took."""
    figures: dict[str, Any] = {"passages": count}
    with ElasticsearchStore(url, f"size-{count}", shards=1, replicas=0) as store:
        started = time.perf_counter()
        for batch in passages.batches(count, BATCH):
            store.write_documents(batch, DuplicatePolicy.OVERWRITE, refresh=False)
        store.save()
        figures["writing, s"] = time.perf_counter() - started
        figures["text, MB"] = sum(
            len((document.content or "").encode()) for batch in passages.batches(count, BATCH) for document in batch
        )
        figures["disk as written, MB"] = flushed_bytes(store)
        figures |= asked(store, passages, questions, "as written")
        started = time.perf_counter()
        store.client.options(request_timeout=3600).indices.forcemerge(index=store.index, max_num_segments=1)
        figures["merging into one segment, s"] = time.perf_counter() - started
        figures["disk merged, MB"] = flushed_bytes(store)
        figures |= parts(store)
        figures["heap in use after the questions, MB"], more = heap_floor(store, passages, questions)
        figures |= more
        store.delete_all_documents(recreate_index=True)
    return figures


def flushed_bytes(store: ElasticsearchStore) -> int:
    """Bytes of the passages' index on the disk, without the log of writes."""
    store.client.indices.flush(index=store.index, force=True)
    time.sleep(1)
    stats = store.client.indices.stats(index=store.index, metric="store")
    return int(stats["_all"]["total"]["store"]["size_in_bytes"])


def parts(store: ElasticsearchStore) -> dict[str, int]:
    """What the disk is taken by."""
    answer = store.client.indices.disk_usage(index=store.index, run_expensive_tasks=True).body
    (about,) = (value for name, value in answer.items() if name != "_shards")
    fields, whole = about["fields"], about["all_fields"]
    return {
        "  stored source, with the vectors as text, MB": fields["_source"]["total_in_bytes"],
        "  vectors and their graph, MB": fields["embedding"]["total_in_bytes"],
        "  words, MB": fields["text"]["total_in_bytes"],
        "  metadata, ids and the rest, MB": whole["total_in_bytes"]
        - sum(fields[name]["total_in_bytes"] for name in ("_source", "embedding", "text")),
    }


def asked(store: ElasticsearchStore, passages: SentencePassages, questions: int, name: str) -> dict[str, float]:
    """Milliseconds of hybrid questions."""
    times = []
    for number in range(WARM + questions):
        place = number % len(passages.queries)
        started = time.perf_counter()
        store.hybrid_retrieval(passages.queries[place], passages.query_vectors[place].tolist(), top_k=10)
        times.append((time.perf_counter() - started) * 1000)
    centiles = statistics.quantiles(times[WARM:], n=100)
    return {f"hybrid p50 {name}, ms": centiles[49], f"hybrid p99 {name}, ms": centiles[98]}


def heap_floor(store: ElasticsearchStore, passages: SentencePassages, questions: int) -> tuple[int, dict[str, float]]:
    """The least heap in use seen while questions are asked, as just after a collection; and their times."""
    least: list[int] = []
    figures: dict[str, float] = {}
    for _ in range(4):
        figures = asked(store, passages, questions, "merged")
        nodes = store.client.nodes.stats(metric="jvm")["nodes"]
        least.append(next(iter(nodes.values()))["jvm"]["mem"]["heap_used_in_bytes"])
    return min(least), figures


def print_table(columns: list[dict[str, Any]], heap: str) -> None:
    """Print the figures and the slopes."""
    first, last = columns[0], columns[-1]
    more = last["passages"] - first["passages"]
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, heap {heap}, {DIM} dimensions\n")
    print("| figure | " + " | ".join(f"{column['passages']:,}" for column in columns) + " | a passage more |")
    print("| --- |" + " ---: |" * (len(columns) + 1))
    for name in first:
        if name == "passages":
            continue
        scale = 1e6 if name.endswith("MB") else 1.0
        values = " | ".join(f"{column[name] / scale:,.1f}" for column in columns)
        slope = (last[name] - first[name]) / more if more else float("nan")
        told = (
            f"{slope:,.0f} bytes" if name.endswith("MB") else f"{slope * 1e3:,.3f} ms" if name.endswith(", s") else ""
        )
        print(f"| {name} | {values} | {told} |")
    int8, links = DIM + 4, HNSW_LINKS * 4
    print(
        f"\nElasticsearch's own reckoning of the memory that searching int8 vectors takes: {int8} bytes a vector and "
        f"{links} of its graph, {int8 + links} together; {np.prod([DIM, 4])} more are read for those compared again."
    )


if __name__ == "__main__":
    main()
