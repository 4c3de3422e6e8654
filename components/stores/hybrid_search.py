"""Search by vectors and by words in one state of a store."""

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from haystack import Document

from lodestone.components.stores.database import Database
from lodestone.components.stores.fusion import Candidate, Fusion
from lodestone.components.stores.passage_table import PassageTable, Vector, to_vector

if TYPE_CHECKING:
    from lodestone.components.stores.core import StoreCore


def search_both(
    core: "StoreCore",
    query: str,
    embedding: list[float],
    filters: dict[str, Any] | None,
    top_k: int,
    candidates: int,
    fusion: Fusion,
    with_embedding: bool,
) -> list[Document]:
    """The best documents by both, with ranks and scores in `meta["retrieval"]`.

    :param core: The opened store.
    :param query: What to search for by words.
    :param embedding: What to search for by vectors.
    :param filters: Haystack filters.
    :param top_k: How many documents at most.
    :param candidates: How many to take from each side.
    :param fusion: How to join the two.
    :param with_embedding: Whether the documents come with their embeddings.
    :returns: Best first; `score` is the fused one.
    """
    vector = to_vector(embedding, "query_embedding")
    with core.reading() as database:
        if database is None:
            return []
        table = PassageTable(database)
        rows = table.allowed(filters)
        dense = core.nearest(database, vector, candidates, rows)
        words, query = core.found_by_words(database, query, candidates, rows)
        cosine = core.settings.similarity == "cosine"
        found = _candidates(core, database, (query, vector), dense, words)
        fused = fusion.fuse(found, cosine)[:top_k]
        documents = table.fetch([candidate.row for candidate, _ in fused], with_embedding)
    return [
        _scored(documents[candidate.row], candidate, score) for candidate, score in fused if candidate.row in documents
    ]


def _candidates(
    core: "StoreCore",
    database: Database,
    query: tuple[str, Vector],
    dense: list[tuple[int, float]],
    words: list[tuple[int, float]],
) -> list[Candidate]:
    """The passages of both sides, each with both scores also where it is a candidate of one side only."""
    text, vector = query
    dense_ranks = {row: rank for rank, (row, _) in enumerate(dense, 1)}
    word_ranks = {row: rank for rank, (row, _) in enumerate(words, 1)}
    dense_scores, word_scores = dict(dense), dict(words)
    only_words = [row for row in word_ranks if row not in dense_ranks]
    only_dense = np.array(sorted(row for row in dense_ranks if row not in word_ranks), dtype=np.int64)
    dense_scores.update(_similarities(database, vector, only_words, core.settings.similarity == "cosine"))
    if only_dense.size:
        word_scores.update(core.best_by_words(database, text, only_dense.size, only_dense))
    return [
        Candidate(row, dense_ranks.get(row), dense_scores.get(row), word_ranks.get(row), word_scores.get(row))
        for row in {**dense_ranks, **word_ranks}
    ]


def _similarities(database: Database, query: Vector, rows: list[int], cosine: bool) -> dict[int, float]:
    """Exact similarities of passages to a query, by row number; those without a vector are left out."""
    sql = "SELECT row, vector FROM vectors WHERE row IN (SELECT value FROM json_each(?))"
    stored = dict(database.execute(sql, (json.dumps(rows),)))
    if not stored:
        return {}
    vectors = np.stack([np.frombuffer(vector, dtype=np.float32) for vector in stored.values()])
    scores = vectors @ query
    if cosine:
        lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(query)
        scores = np.divide(scores, lengths, out=np.zeros_like(scores), where=lengths > 0)
    return dict(zip(stored, scores.tolist(), strict=True))


def _scored(document: Document, candidate: Candidate, score: float) -> Document:
    return replace(document, score=score, meta={**document.meta, "retrieval": candidate.to_meta()})
