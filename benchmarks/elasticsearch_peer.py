"""Indexes passages with vectors into Elasticsearch with our store and with elasticsearch-haystack's, in turns.

    python benchmarks/elasticsearch_peer.py [--url http://localhost:9200] [--passages 50000] [--batch 256]

The passages are made of random words, the vectors are random: how fast they are written does not depend on that. Both
stores get the same batches, as an indexing pipeline's writer gives them, with their default parameters; for the peer
they also come in one call. What counts is the time until everything is acknowledged and found by searches. Then the
same hybrid questions, one by one, are put to our store and to a `FaissDocumentStore` with the same passages. A cluster
of its own is best: nothing else should use it meanwhile.
"""

import argparse
import functools
import itertools
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
from haystack import Document
from haystack.document_stores.types import DuplicatePolicy
from haystack_integrations.document_stores.elasticsearch import ElasticsearchDocumentStore

from lodestone import ElasticsearchStore, FaissDocumentStore

WORDS = 120
WARM, QUESTIONS = 50, 500
VOCABULARY = 20_000


def make_passages(count: int, dim: int, seed: int) -> list[Document]:
    """Passages with the metadata that the indexing pipeline gives them."""
    chance = np.random.default_rng(seed)
    vectors = chance.standard_normal((count, dim), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ranks = np.minimum(chance.zipf(1.3, (count, WORDS)), VOCABULARY)
    return [
        Document(
            id=f"{number:064x}",
            content=" ".join(f"w{rank}" for rank in ranks[number]),
            meta={
                "root": "docs",
                "source": f"folder/{number // 10}.md",
                "source_id": f"{number // 10:064x}",
                "split_id": number % 10,
                "split_idx_start": number % 10 * 800,
                "page_number": 1 + number % 10,
            },
            embedding=vectors[number].tolist(),
        )
        for number in range(count)
    ]


def timed(write: Callable[[list[Document]], Any], batches: list[list[Document]]) -> float:
    """Seconds until all batches are written."""
    started = time.perf_counter()
    for batch in batches:
        write(batch)
    return time.perf_counter() - started


def peer(url: str, batches: list[list[Document]]) -> float:
    """Seconds that elasticsearch-haystack's store takes."""
    store = ElasticsearchDocumentStore(hosts=url, index=f"peer-{uuid.uuid4().hex[:8]}")
    try:
        seconds = timed(lambda batch: store.write_documents(batch, DuplicatePolicy.OVERWRITE), batches)
        assert store.count_documents() == sum(map(len, batches))
        return seconds
    finally:
        store.client.indices.delete(index=store._index)


def ours(url: str, batches: list[list[Document]], times: list[float] | None = None) -> float:
    """Seconds that our store takes, written as an indexing job writes: refreshed in the end.

    :param times: Where the milliseconds of hybrid questions go; None to ask none.
    """
    with ElasticsearchStore(url, f"ours-{uuid.uuid4().hex[:8]}") as store:
        try:
            started = time.perf_counter()
            timed(lambda batch: store.write_documents(batch, DuplicatePolicy.OVERWRITE, refresh=False), batches)
            store.save()
            seconds = time.perf_counter() - started
            assert store.count_documents() == sum(map(len, batches))
            if times is not None:
                times += hybrid_times(store, batches[0])
            return seconds
        finally:
            store.delete_all_documents(recreate_index=True)


def faiss_times(batches: list[list[Document]]) -> list[float]:
    """Milliseconds of the same hybrid questions in a folder."""
    with tempfile.TemporaryDirectory() as folder, FaissDocumentStore(folder) as store:
        timed(lambda batch: store.write_documents(batch, DuplicatePolicy.OVERWRITE), batches)
        store.save()
        return hybrid_times(store, batches[0])


def hybrid_times(store: ElasticsearchStore | FaissDocumentStore, passages: list[Document]) -> list[float]:
    """Milliseconds of hybrid questions, each with words and a vector of its own; the first ones do not count."""
    times = []
    for passage in itertools.islice(itertools.cycle(passages), WARM + QUESTIONS):
        started = time.perf_counter()
        store.hybrid_retrieval(" ".join((passage.content or "").split()[:8]), passage.embedding or [], top_k=10)
        times.append((time.perf_counter() - started) * 1000)
    return times[WARM:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://localhost:9200")
    parser.add_argument("--passages", type=int, default=50_000)
    parser.add_argument(
        "--batch", type=int, default=256, help="passages in a call, as an indexing pipeline writes them"
    )
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    passages = make_passages(options.passages, options.dim, options.seed)
    batches = [passages[start : start + options.batch] for start in range(0, len(passages), options.batch)]
    warm = [passages[:2000]]
    ours(options.url, warm)
    peer(options.url, warm)
    rows = []
    times: list[float] = []
    for name, run, given in (
        ("ElasticsearchStore, by batches", functools.partial(ours, times=times), batches),
        ("ElasticsearchDocumentStore, by batches", peer, batches),
        ("ElasticsearchStore, one call", ours, [passages]),
        ("ElasticsearchDocumentStore, one call", peer, [passages]),
    ):
        rows.append((name, run(options.url, given)))
        print(f"{name}: {rows[-1][1]:.1f} s", flush=True)
    print(f"\n{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"\n| {len(passages):,} passages, {options.dim} dimensions | seconds | passages/s | ours is faster |")
    print("| --- | ---: | ---: | ---: |")
    for number, (name, seconds) in enumerate(rows):
        ratio = f"{seconds / rows[number - 1][1]:.1f}x" if number % 2 else ""
        print(f"| {name} | {seconds:.1f} | {len(passages) / seconds:,.0f} | {ratio} |")
    print(f"\n| {QUESTIONS} hybrid questions | p50 | p99 |\n| --- | ---: | ---: |")
    for name, taken in (("ElasticsearchStore", times), ("FaissDocumentStore", faiss_times(batches))):
        centiles = statistics.quantiles(taken, n=100)
        print(f"| {name} | {centiles[49]:.1f} ms | {centiles[98]:.1f} ms |", flush=True)


if __name__ == "__main__":
    main()
