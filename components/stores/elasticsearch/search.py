"""Search by vectors, by words, and by both."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from haystack import Document

from lodestone.components.errors import ConfigurationError
from lodestone.components.stores.elasticsearch.filters import NONE, Query, to_query
from lodestone.components.stores.elasticsearch.index import PassageIndex
from lodestone.components.stores.elasticsearch.passages import EMBEDDING, STORED, to_document
from lodestone.components.stores.fusion import Candidate, Fusion
from lodestone.components.stores.passage_table import to_vector
from lodestone.components.stores.words import ENGLISH_STOP_WORDS, HEADINGS_WEIGHT, split_phrases, without_quotes

MAX_CANDIDATES = 10_000  # Elasticsearch's own limit, for vectors and for words
_LEAST_CANDIDATES = 100
_OVERSAMPLE = 2.0
_MOST_WORDS = 400  # of a query; twice as many clauses are less than Elasticsearch takes on the smallest node, 1024
_WORD = re.compile(r"\w+")
_STOP_WORDS = frozenset(ENGLISH_STOP_WORDS.split())

Hits = list[dict[str, Any]]
Scores = dict[str, float]


def nearest(
    index: PassageIndex, embedding: Sequence[float], filters: dict[str, Any] | None, top_k: int, with_embedding: bool
) -> list[Document]:
    """The documents nearest to a vector, best first; `score` is the cosine similarity or the inner product."""
    vector = _checked(index, embedding)
    query = to_query(filters)
    if vector is None:
        return []
    hits = index.search(**_knn(vector, query, top_k), source=_fields(with_embedding))["hits"]["hits"]
    cosine = index.settings.similarity == "cosine"
    return [to_document(hit, _similarity(hit["_score"], cosine)) for hit in hits]


def best_by_words(
    index: PassageIndex, query: str, filters: dict[str, Any] | None, top_k: int, with_embedding: bool
) -> list[Document]:
    """The documents with a query's words, best first; `score` is BM25's."""
    allowed = to_query(filters)
    if not index.exists():
        return []
    hits, _ = _found_by_words(index, query, allowed, top_k, _fields(with_embedding))
    return [to_document(hit, hit["_score"]) for hit in hits]


def _found_by_words(
    index: PassageIndex, query: str, allowed: Query, count: int, source: list[str] | bool
) -> tuple[Hits, str]:
    """Hits, and the query that found them: without its quotes if no passage has its phrases."""
    hits: Hits = index.search(query=_words(index, query, allowed), size=_size(count), source=source)["hits"]["hits"]
    if hits or not split_phrases(query)[0]:
        return hits, query
    return _found_by_words(index, without_quotes(query), allowed, count, source)


def best_by_both(
    index: PassageIndex,
    query: str,
    embedding: Sequence[float],
    filters: dict[str, Any] | None,
    top_k: int,
    candidates: int,
    fusion: Fusion,
    with_embedding: bool,
) -> list[Document]:
    """The best documents by both, with ranks and scores in `meta["retrieval"]`; `score` is the fused one."""
    vector, allowed = _checked(index, embedding), to_query(filters)
    if not index.exists():
        return []
    cosine = index.settings.similarity == "cosine"
    bodies = [{"query": _words(index, query, allowed), "size": _size(candidates), "_source": False}]
    if vector is not None:
        bodies.append({**_knn(vector, allowed, candidates), "_source": False})
    words, dense = [*index.searches(bodies), []][:2]
    if not words and split_phrases(query)[0]:
        words, query = _found_by_words(index, without_quotes(query), allowed, candidates, False)
    names, found = _candidates(index, query, vector, dense, words, cosine)
    fused = fusion.fuse(found, cosine)[:top_k]
    documents = _fetch(index, [names[candidate.row] for candidate, _ in fused], with_embedding)
    return [
        replace(document, score=score, meta={**document.meta, "retrieval": candidate.to_meta()})
        for candidate, score in fused
        if (document := documents.get(names[candidate.row])) is not None
    ]


def _candidates(
    index: PassageIndex, query: str, vector: list[float] | None, dense: Hits, words: Hits, cosine: bool
) -> tuple[list[str], list[Candidate]]:
    """The passages of both sides, each with both scores also where it is a candidate of one side only."""
    dense_ranks = {hit["_id"]: rank for rank, hit in enumerate(dense, 1)}
    word_ranks = {hit["_id"]: rank for rank, hit in enumerate(words, 1)}
    dense_scores = {hit["_id"]: _similarity(hit["_score"], cosine) for hit in dense}
    word_scores: Scores = {hit["_id"]: hit["_score"] for hit in words}
    only_dense = [name for name in dense_ranks if name not in word_ranks]
    only_words = [name for name in word_ranks if name not in dense_ranks]
    bodies = [{"query": _words(index, query, _ids(only_dense)), "size": max(len(only_dense), 1), "_source": False}]
    if vector is not None and only_words:
        bodies.append({**_knn(vector, _ids(only_words), len(only_words)), "_source": False})
    more_words, more_dense = [*index.searches(bodies), []][:2]
    word_scores.update({hit["_id"]: hit["_score"] for hit in more_words})
    dense_scores.update({hit["_id"]: _similarity(hit["_score"], cosine) for hit in more_dense})
    names = list(dict.fromkeys([*dense_ranks, *word_ranks]))
    return names, [
        Candidate(row, dense_ranks.get(name), dense_scores.get(name), word_ranks.get(name), word_scores.get(name))
        for row, name in enumerate(names)
    ]


def _fetch(index: PassageIndex, names: list[str], with_embedding: bool) -> dict[str, Document]:
    hits = index.search(query=_ids(names), size=max(len(names), 1), source=_fields(with_embedding))["hits"]["hits"]
    return {hit["_id"]: to_document(hit) for hit in hits}


def _checked(index: PassageIndex, embedding: Sequence[float]) -> list[float] | None:
    """The query's vector; None if the index has no vectors."""
    vector = to_vector(embedding, "query_embedding")
    dim = index.dim
    if dim is not None and dim != vector.size:
        raise ConfigurationError(
            f"the query's embedding has {vector.size} dimensions, the store's have {dim}: use the embedding "
            "model that the store was indexed with"
        )
    # A vector of zeros has no direction, and Elasticsearch refuses to search for one.
    found: list[float] = vector.tolist()
    return found if dim is not None and (any(found) or index.settings.similarity != "cosine") else None


def _knn(vector: list[float], allowed: Query, top_k: int) -> dict[str, Any]:
    count = _size(top_k)
    knn = {
        "field": "embedding",
        "query_vector": vector,
        "k": count,
        "num_candidates": min(max(_LEAST_CANDIDATES, int(_OVERSAMPLE * count)), MAX_CANDIDATES),
        "filter": allowed,
        # The best by their int8 vectors are compared again by the vectors as they were given: scores are exact.
        "rescore_vector": {"oversample": _OVERSAMPLE},
    }
    return {"knn": knn, "size": count}


def _words(index: PassageIndex, query: str, allowed: Query) -> Query:
    """BM25 over headings and content; phrases in quotes must occur."""
    phrases, rest = split_phrases(query)
    if index.settings.language == "english":
        rest = _telling(rest)
    words_of = _WORD.findall(rest)
    if len(words_of) > _MOST_WORDS:
        rest = " ".join(words_of[:_MOST_WORDS])
    must: list[Query] = [{"match_phrase": {"text": phrase}} for phrase in phrases]
    words: list[Query] = [{"match": {"text": rest}}] if rest.strip() else []
    if not must and not words:
        return NONE
    also: list[Query] = [{"match": {"headings": {"query": rest, "boost": HEADINGS_WEIGHT}}}] if words else []
    return {"bool": {"filter": [allowed], "must": must or words, "should": [*(words if must else []), *also]}}


def _telling(text: str) -> str:
    """A question without the words that say nothing, such as those it begins with, unless there are no others.

    Elasticsearch's English analyzer leaves out 33 words only, and none that a question begins with.
    """
    return " ".join(word for word in _WORD.findall(text) if word.lower() not in _STOP_WORDS) or text


def _ids(names: list[str]) -> Query:
    return {"ids": {"values": names}}


def _fields(with_embedding: bool) -> list[str]:
    return [*STORED, *EMBEDDING] if with_embedding else STORED


def _size(count: int) -> int:
    return min(count, MAX_CANDIDATES)


def _similarity(score: float, cosine: bool) -> float:
    """The similarity that Elasticsearch made its score of, which is never negative."""
    if cosine:
        return 2 * score - 1
    return score - 1 if score >= 1 else 1 - 1 / score
