"""Filters on metadata: Haystack's own function over documents in memory, our store's scan, and its indexes.

    python benchmarks/filters.py [--passages 100000] [--rounds 5]

The documents are synthetic: only their metadata matters. Each figure is the median over the rounds of counting what
matches, in ms; all three ways must count the same.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from haystack import Document
from haystack.utils.filters import document_matches_filter

from lodestone import FaissDocumentStore
from lodestone.components.stores import metadata_indexes

BATCH = 5000


def condition(field: str, operator: str, value: Any) -> dict[str, Any]:
    """One comparison."""
    return {"field": field, "operator": operator, "value": value}


FILTERS = {
    "text == (0.1 %)": condition("meta.team", "==", "team 7"),
    "text in 100 (10 %)": condition("meta.team", "in", [f"team {n}" for n in range(100)]),
    "text != (67 %)": condition("meta.language", "!=", "en"),
    "number == (0.1 %)": condition("meta.number", "==", 7),
    "number > (0.1 %)": condition("meta.number", ">", 998),
    "number > (90 %)": condition("meta.number", ">", 99),
    "decimal <= (10 %)": condition("meta.price", "<=", 100.5),
    "date >= (10 %)": condition("meta.date", ">=", "2024-11-25"),
    "no value": condition("meta.missing", "==", None),
    "two of these (3 %)": {
        "operator": "AND",
        "conditions": [condition("meta.language", "==", "de"), condition("meta.number", ">", 899)],
    },
}
INDEXED = ["team", "language", "number", "price", "date", "missing"]


def document(number: int) -> Document:
    """A document with metadata of every kind, and some that no filter names."""
    meta = {
        "source": f"folder {number % 50}/file {number // 20}.md",
        "headings": ["A heading", "Another below it"],
        "team": f"team {number % 1000}",
        "language": ("en", "de", "fr")[number % 3],
        "number": number * 7919 % 1000,
        "price": number * 104729 % 10050 / 10,
        "date": f"2024-{number % 12 + 1:02}-{number % 28 + 1:02}T{number % 24:02}:00:00",
    }
    return Document(id=str(number), content="Some words. " * 40, meta=meta)


def timed(count: Callable[[], int], rounds: int) -> tuple[float, int]:
    """Median seconds, and what was counted."""
    seconds, found = [], 0
    for _ in range(rounds):
        started = time.perf_counter()
        found = count()
        seconds.append(time.perf_counter() - started)
    return median(seconds), found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    metadata_indexes.MOST = 0  # none unasked, so that scans stay scans
    documents = [document(number) for number in range(arguments.passages)]
    with tempfile.TemporaryDirectory() as folder, FaissDocumentStore(folder) as store:
        for start in range(0, len(documents), BATCH):
            store.write_documents(documents[start : start + BATCH])

        def ours(filters: dict[str, Any]) -> tuple[float, int]:
            return timed(lambda: store.count_documents_by_filter(filters), arguments.rounds)

        scans = {name: ours(filters) for name, filters in FILTERS.items()}
        started = time.perf_counter()
        store.index_metadata(INDEXED)
        seconds = time.perf_counter() - started
        print(f"{len(documents)} passages; {len(INDEXED)} fields were indexed in {seconds:.1f} s\n")
        print("| filter | matches | Haystack's function, ms | scan, ms | index, ms | scan / index |")
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
        for name, filters in FILTERS.items():
            memory, expected = timed(lambda: sum(document_matches_filter(filters, one) for one in documents), 1)  # noqa: B023
            (scan, scanned), (index, found) = scans[name], ours(filters)
            if not expected == scanned == found:
                raise SystemExit(f"{name}: {expected}, {scanned} and {found} documents match")
            row = (f"{memory * 1e3:.0f}", f"{scan * 1e3:.1f}", f"{index * 1e3:.2f}", f"{scan / index:.0f}")
            print(f"| {name} | {found} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
