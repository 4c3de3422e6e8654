"""What a store holds, in numbers."""

from typing import Any

from lodestone.components.stores.elasticsearch.filters import ALL, Query
from lodestone.components.stores.elasticsearch.index import PassageIndex
from lodestone.components.stores.elasticsearch.problems import explained

_LATEST = 3
_STATES = 10


def collect(index: PassageIndex) -> dict[str, Any]:
    """Count what a store holds.

    :param index: Its indexes.
    :returns: `passages`, `documents` (that the passages were cut from, as far as the ledger has them), `vectors`,
        `sources` (files by state), `bytes` (on all nodes' disks, by part), `index_type`, `recall` (None: Elasticsearch
        does not measure it), `dim`, `similarity`, `language`, `last_write` (Unix time of the file indexed last,
        seconds; None if there is none), `last_sources` (root, path and Unix time of the files indexed last, newest
        first).
    """
    figures: dict[str, Any] = {
        "passages": 0,
        "documents": 0,
        "vectors": 0,
        "sources": {},
        "bytes": {},
        "index_type": None,
        "recall": None,
        "dim": index.settings.embedding_dim,
        "similarity": index.settings.similarity,
        "language": index.settings.language,
        "last_write": None,
        "last_sources": [],
    }
    if not index.exists():
        return figures
    index.refresh()
    vectors: Query = {"exists": {"field": "embedding"}}
    figures["passages"] = index.count(ALL)
    figures["vectors"] = index.count(vectors) if index.dim is not None else 0
    figures["documents"] = index.count({"term": {"kind": "text"}}, index.ledger)
    figures["dim"] = index.dim
    figures["index_type"] = "int8_hnsw" if index.dim is not None else None
    with explained(index.shown):
        sizes = index.client.indices.stats(index=[index.name, index.ledger], metric="store")["indices"]
        files = index.client.search(
            index=index.ledger,
            query={"term": {"kind": "source"}},
            post_filter={"term": {"state": "indexed"}},  # of the files that are listed, not of those that are counted
            size=_LATEST,
            sort=[{"indexed_at": "desc"}, "root", "path"],
            source={"includes": ["root", "path", "indexed_at"]},
            aggs={"states": {"terms": {"field": "state", "size": _STATES}}},
            allow_partial_search_results=False,
        )
    figures["bytes"] = {"passages": 0, "ledger": 0}
    for name, stats in sizes.items():
        part = "ledger" if name.endswith("-ledger") else "passages"
        figures["bytes"][part] += stats["total"]["store"]["size_in_bytes"]
    buckets = files["aggregations"]["states"]["buckets"]
    figures["sources"] = {bucket["key"]: bucket["doc_count"] for bucket in sorted(buckets, key=lambda one: one["key"])}
    latest = [hit["_source"] for hit in files["hits"]["hits"]]
    figures["last_sources"] = [[one["root"], one["path"], one["indexed_at"]] for one in latest]
    figures["last_write"] = latest[0]["indexed_at"] if latest else None
    return figures
