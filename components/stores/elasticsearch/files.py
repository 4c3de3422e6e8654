"""Which documents of the indexes are of which files."""

from collections.abc import Iterator, Sequence
from typing import Any

from lodestone.components.stores.elasticsearch.filters import Query
from lodestone.components.stores.elasticsearch.index import PassageIndex
from lodestone.components.stores.elasticsearch.values import HASHED, term_of

_AT_ONCE = 1000
_FIELDS = {"root": "keyword.root", "path": "keyword.source"}


def unlisted(index: PassageIndex) -> Iterator[tuple[str | None, str | None, int]]:
    """Passages of files that the ledger does not list: what was written past it, or by a job that was killed.

    :param index: The indexes.
    :returns: Root and path as the passages have them, None for what they have not, and how many passages each has.
        Those with paths of more than 1,000 characters are left out.
    """
    index.refresh()
    files: dict[str, Any] = {
        "size": _AT_ONCE,
        "sources": [{name: {"terms": {"field": field, "missing_bucket": True}}} for name, field in _FIELDS.items()],
    }
    while True:
        found = index.search(size=0, aggs={"files": {"composite": files}})["aggregations"]["files"]
        held = {(one["key"]["root"], one["key"]["path"]): int(one["doc_count"]) for one in found["buckets"]}
        listed = _listed(index, [(root, path) for root, path in held if root is not None and path is not None])
        for (root, path), passages in held.items():
            if (root, path) not in listed and not str(path).startswith(HASHED):
                yield root, path, passages
        if "after_key" not in found:
            return
        files["after"] = found["after_key"]


def _listed(index: PassageIndex, files: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of some files that the ledger lists."""
    if not files:
        return set()
    query = _of_files(files, "root", "path", [{"term": {"kind": "source"}}])
    answer = index.search(index.ledger, query=query, size=len(files), source={"includes": ["root", "path"]})
    return {(hit["_source"]["root"], hit["_source"]["path"]) for hit in answer["hits"]["hits"]}


def passages_of(files: Sequence[tuple[str, str]]) -> Query:
    """The passages of some files, named by root and path."""
    return _of_files(files, "keyword.root", "keyword.source", [])


def texts_of(files: Sequence[tuple[str, str]]) -> Query:
    """The texts of some files, in the ledger."""
    return _of_files(files, "root", "path", [{"term": {"kind": "text"}}])


def _of_files(files: Sequence[tuple[str, str]], root: str, path: str, also: list[Query]) -> Query:
    paths: dict[str, list[str]] = {}
    for name, file in files:
        paths.setdefault(term_of(name), []).append(term_of(file))
    each: list[Query] = [
        {"bool": {"filter": [{"term": {root: name}}, {"terms": {path: listed}}]}} for name, listed in paths.items()
    ]
    return {"bool": {"filter": [*also, {"bool": {"should": each, "minimum_should_match": 1}}]}}
