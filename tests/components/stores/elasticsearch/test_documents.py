"""Documents in Elasticsearch: what is written comes back, is found, and is filtered as Haystack filters it."""

import math
import random
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from elasticsearch_server import NewStore
from haystack import Document
from haystack.dataclasses import ByteStream, SparseEmbedding
from haystack.document_stores.types import DuplicatePolicy
from haystack.errors import FilterError
from haystack.utils.filters import document_matches_filter
from haystack_integrations.components.retrievers.elasticsearch import (
    ElasticsearchBM25Retriever,
    ElasticsearchEmbeddingRetriever,
)

from lodestone import ElasticsearchStore
from lodestone.components.stores.elasticsearch.filters import to_query
from lodestone.components.stores.fusion import Fusion

VALUES: list[Any] = [
    *(None, True, False, 0, 1, 1.0, -3, 2.5, 1e15, "", "1", "word", "two words", "Word", "2024-05-01", "x" * 2000),
    *("2024-05-01T10:00:00", "2024-05-01T10:00:00+00:00", "2024-05-02T00:00:00Z", [], ["a"], ["a", 1, None], [[1.0]]),
    *({"b": 1}, {"b": {"c": "deep"}}, {"b": None}, {}),
]
OPERATORS = ["==", "!=", ">", ">=", "<", "<=", "in", "not in"]


def test_documents_come_back_as_they_were_written(store: ElasticsearchStore) -> None:
    documents = [
        Document(id="plain", content="words", embedding=[0.25, -1e-8], meta={"headings": ["A", "B"], "root": "r"}),
        Document(id="numbers", meta={"nan": math.nan, "inf": -math.inf, "big": 2**70, "whole": 1.0, "int": 1}),
        Document(id="keys", content="", meta={"": 1, " ": 2, "a.b": 3, "a..b": 4, ".": 5, "ü": 6, "$lodestone": [1]}),
        Document(id="mixed", meta={"a": {"b": {"c": [1, "x", None, {"d": True}]}}, "none": None, "long": "y" * 40_000}),
        Document(id="blob", blob=ByteStream(b"\x00\xff", meta={"k": 1}, mime_type="image/png"), score=0.5),
        Document(id="sparse", content="s", sparse_embedding=SparseEmbedding([1, 5], [0.5, 2.0])),
    ]
    assert store.write_documents(documents) == 6
    received = {document.id: document for document in store.filter_documents()}
    assert math.isnan(received["numbers"].meta.pop("nan"))
    documents[1].meta.pop("nan")
    assert received["plain"].embedding == pytest.approx([0.25, -1e-8])
    expected = {document.id: document for document in documents}
    expected["plain"] = replace(expected["plain"], embedding=received["plain"].embedding)
    assert received == expected


def test_metadata_of_any_types_never_conflicts(store: ElasticsearchStore) -> None:
    assert store.write_documents([Document(id=str(n), meta={"v": value}) for n, value in enumerate(VALUES)]) == len(
        VALUES
    )
    assert [
        document.id for document in store.filter_documents({"field": "meta.v", "operator": "==", "value": "word"})
    ] == [str(VALUES.index("word"))]


def test_filters_mean_what_they_mean_in_haystack(store: ElasticsearchStore) -> None:
    chance = random.Random(5)
    documents = [Document(id=str(n), meta={"v": value, "n": n % 3}) for n, value in enumerate(VALUES)]
    store.write_documents(documents)
    compared = 0
    for _ in range(150):
        conditions = [_condition(chance) for _ in range(chance.randint(1, 3))]
        filters = {"operator": chance.choice(["AND", "OR", "NOT"]), "conditions": conditions}
        expected = [document.id for document in documents if _matches(filters, document)]
        if any(_raises(filters, document) for document in documents):
            continue
        compared += 1
        received = store._passages.ids(to_query(filters))
        assert sorted(received, key=int) == expected, filters
    assert compared > 60


def _condition(chance: random.Random) -> dict[str, Any]:
    field, operator = (
        chance.choice(["meta.v", "v", "meta.v.b", "meta.v.b.c", "meta.n", "meta.other"]),
        chance.choice(OPERATORS),
    )
    values = [0, 1, 2, 2.5, True, None] if field == "meta.n" else VALUES
    value: Any = chance.choices(values, k=3) if "in" in operator else chance.choice(values)
    if operator in (">", ">=", "<", "<="):
        # Haystack raises where it cannot compare; here such values do not match.
        field, value = "meta.n", chance.choice([0, 1, 1.5, None])
    return {"field": field, "operator": operator, "value": value}


def _raises(filters: dict[str, Any], document: Document) -> bool:
    try:
        document_matches_filter(filters, document)
    except (FilterError, TypeError):
        return True
    return False


def _matches(filters: dict[str, Any], document: Document) -> bool:
    return not _raises(filters, document) and document_matches_filter(filters, document)


def test_numbers_equal_what_they_equal_in_python(store: ElasticsearchStore) -> None:
    numbers = [0, -0.0, False, 2**53 + 2, 2**53 + 3, 2.0**60, 2**60, 10**30, 1e30, 1e308, -(2**63), 0.5, 5e-324]
    store.write_documents([Document(id=str(n), meta={"v": value}) for n, value in enumerate(numbers)])

    def found(operator: str, value: Any) -> list[int]:
        filters = {"field": "meta.v", "operator": operator, "value": value}
        return sorted(int(document.id) for document in store.filter_documents(filters))

    for value in (*numbers, 2**53 + 4, -1e308):
        same = [n for n, number in enumerate(numbers) if number == value]
        assert found("==", value) == found("in", [value, "x"]) == same, value
        assert found("!=", value) == [n for n in range(len(numbers)) if n not in same], value
    for zero in (0, 0.0, -0.0, False):
        assert found("<=", zero) == [0, 1, 2, 10]
        assert found("<", zero) == [10]
        assert {0, 1, 2} <= set(found(">=", zero))
        assert not {0, 1, 2} & set(found(">", zero))


def test_a_filter_may_list_more_values_than_a_query_of_elasticsearch(store: ElasticsearchStore) -> None:
    store.write_documents([Document(id="1", meta={"n": 69_999, "s": "v69999"}), Document(id="2", meta={"n": -1})])
    for field, listed in (("n", list(range(70_000))), ("s", [f"v{n}" for n in range(70_000)])):
        filters = {"field": f"meta.{field}", "operator": "in", "value": listed}
        assert [document.id for document in store.filter_documents(filters)] == ["1"]


def test_a_question_of_any_length_is_searched_for(store: ElasticsearchStore) -> None:
    store.write_documents([Document(id="1", content="The ferry is green.", embedding=[1.0, 0.0])])
    question = "ferry " + " ".join(f"word{n}" for n in range(20_000))
    assert [document.id for document in store.bm25_retrieval(question)] == ["1"]
    assert [document.id for document in store.hybrid_retrieval(question, [1.0, 0.0])] == ["1"]


def test_dates_are_compared_as_moments(store: ElasticsearchStore) -> None:
    days = ["2024-01-31", "2024-02-01T00:00:00Z", "2024-02-01T02:00:00+02:00", "2024-02-01T00:00:00.001", "no date"]
    store.write_documents([Document(id=str(n), meta={"day": day}) for n, day in enumerate(days)])

    def found(operator: str, value: Any) -> list[str]:
        filters = {"field": "meta.day", "operator": operator, "value": value}
        return sorted(document.id for document in store.filter_documents(filters))

    assert found(">", "2024-01-31") == ["1", "2", "3"]
    assert found("<=", datetime(2024, 2, 1, tzinfo=UTC)) == ["0", "1", "2"]
    assert found("==", "2024-02-01") == ["1", "2"]
    assert found("in", ["2024-01-31T00:00:00", "no date"]) == ["0", "4"]
    with pytest.raises(FilterError, match="no ISO formatted date"):
        found("<", "yesterday")


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"field": "content", "operator": "==", "value": "x"}, "cannot filter by 'content'"),
        ({"field": "meta.a", "operator": "~", "value": 1}, "Unknown comparison operator '~'"),
        ({"operator": "XOR", "conditions": []}, "Unknown logical operator 'XOR'"),
        ({"field": "meta.a", "operator": "in", "value": "a"}, "must be a `list`"),
        ({"field": "meta.a", "operator": "==", "value": object()}, "cannot be compared with object"),
    ],
)
def test_malformed_filters_are_refused_also_where_nothing_is_stored(filters: dict[str, Any], message: str) -> None:
    with pytest.raises(FilterError, match=message):
        ElasticsearchStore("http://127.0.0.1:1").filter_documents(filters)


def test_more_than_ten_thousand_documents_are_written_in_parallel_and_enumerated(new_store: NewStore) -> None:
    store = new_store(bulk_bytes=200_000, bulk_workers=3)
    documents = [Document(id=str(n), content=f"number {n}", meta={"n": n}) for n in range(12_000)]
    assert store.write_documents(documents) == 12_000
    assert sorted(int(document.id) for document in store.filter_documents()) == list(range(12_000))
    assert store.delete_by_filter({"field": "meta.n", "operator": ">=", "value": 500}) == 11_500
    assert store.count_documents() == 500


def test_fields_beyond_the_limit_are_stored_and_told(new_store: NewStore, caplog: pytest.LogCaptureFixture) -> None:
    store = new_store(max_fields=5)
    meta = {f"field{n}": n for n in range(50)}
    store.write_documents([Document(id="1", content="one", meta=meta)])
    assert store.filter_documents()[0].meta == meta
    store.save()
    assert "1 passages of" in caplog.text
    assert "max_fields=5" in caplog.text


def test_a_word_counts_more_in_a_heading(store: ElasticsearchStore) -> None:
    store.write_documents(
        [
            Document(id="content", content="Lions. They eat meat."),
            Document(id="heading", content="They eat meat.", meta={"headings": ["Lions."]}),
            Document(id="other", content="They eat grass.", meta={"headings": ["Cows."]}),
        ]
    )
    found = store.bm25_retrieval("lion")
    assert [document.id for document in found] == ["heading", "content"]
    assert (found[0].score or 0) > (found[1].score or 0)


def test_words_are_found_by_their_stems_in_headings_and_content_only(store: ElasticsearchStore) -> None:
    store.write_documents(
        [
            Document(id="heading", content="They eat meat.", meta={"headings": ["Lions"]}),
            Document(id="content", content="A lion sleeps."),
            Document(id="meta", content="Nothing.", meta={"name": "lion"}),
            Document(id="phrase", content="meat they eat"),
        ]
    )

    def found(query: str) -> set[str]:
        return {document.id for document in store.bm25_retrieval(query)}

    assert found("lion") == {"heading", "content"}
    assert found('"eat meat"') == {"heading"}
    assert found('sleeping "eat meat"') == {"heading"}
    assert found('"lion eat"') == found("lion eat") == {"heading", "content", "phrase"}
    assert found("?!") == found('""') == set()


def test_scores_are_similarities_and_fusion_has_both_sides(new_store: NewStore) -> None:
    documents = [
        Document(id="both", content="lion", embedding=[1.0, 0.0]),
        Document(id="dense", content="cat", embedding=[0.9, 0.5]),
        Document(id="words", content="lion lion"),
        Document(id="far", content="dog", embedding=[-1.0, 0.1]),
    ]
    store = new_store()
    store.write_documents(documents)
    scores = {document.id: document.score for document in store.embedding_retrieval([2.0, 0.0])}
    assert scores["both"] == pytest.approx(1.0, abs=1e-5)
    assert scores["far"] == pytest.approx(-1 / math.hypot(1, 0.1), abs=1e-5)
    fused = {d.id: d for d in store.hybrid_retrieval("lion", [2.0, 0.0], fusion=Fusion("rrf"))}
    assert next(iter(fused)) == "both"
    retrieval = fused["words"].meta["retrieval"]
    assert (retrieval["dense_rank"], retrieval["dense_score"], retrieval["bm25_rank"]) == (None, None, 1)
    assert fused["both"].score == pytest.approx(1 / 61 + 1 / 62)
    products = new_store(similarity="dot_product")
    products.write_documents([document for document in documents if document.embedding])
    by_product = {document.id: document.score for document in products.embedding_retrieval([2.0, 0.0])}
    assert by_product["both"] == pytest.approx(2.0, abs=1e-5)
    assert by_product["far"] == pytest.approx(-2.0, abs=1e-5)


def test_a_filtered_search_returns_exactly_k(store: ElasticsearchStore) -> None:
    store.write_documents(
        [Document(id=str(n), content="word", embedding=[1.0, n / 500], meta={"even": n % 2 == 0}) for n in range(500)]
    )
    odd = {"field": "meta.even", "operator": "==", "value": False}
    for found in (
        store.embedding_retrieval([1.0, 0.0], odd, 20),
        store.bm25_retrieval("word", odd, 20),
        store.hybrid_retrieval("word", [1.0, 0.0], odd, 20),
    ):
        assert len(found) == 20
        assert all(document.meta["even"] is False for document in found)


def test_vectors_may_come_after_words(store: ElasticsearchStore) -> None:
    store.write_documents([Document(id="1", content="one")])
    assert store.embedding_retrieval([1.0, 0.0]) == []
    assert [document.id for document in store.hybrid_retrieval("one", [1.0, 0.0])] == ["1"]
    store.write_documents([Document(id="1", content="one", embedding=[1.0, 0.0])], DuplicatePolicy.OVERWRITE)
    assert [document.id for document in store.embedding_retrieval([1.0, 0.0])] == ["1"]
    assert store.embedding_retrieval([0.0, 0.0]) == []


def test_the_stock_retrievers_take_the_store(store: ElasticsearchStore) -> None:
    store.write_documents([Document(id="1", content="one", embedding=[1.0, 0.0]), Document(id="2", content="two")])
    found = ElasticsearchBM25Retriever(document_store=store, scale_score=True).run(query="two")["documents"]
    assert [document.id for document in found] == ["2"]
    assert 0 < found[0].score < 1
    nearest = ElasticsearchEmbeddingRetriever(document_store=store).run(query_embedding=[1.0, 0.0])["documents"]
    assert [document.id for document in nearest] == ["1"]


def test_hybrid_search_scores_the_words_of_a_phrase_that_no_passage_has(new_store: NewStore) -> None:
    store = new_store()
    store.write_documents(
        [
            Document(id="words", content="A lion of the sea", embedding=[-1.0, 0.0]),
            Document(id="dense", content="The sea is wide", embedding=[1.0, 0.0]),
        ]
    )
    (quoted,) = store.hybrid_retrieval('"sea lion"', [1.0, 0.0], top_k=1, candidates=1)
    (plain,) = store.hybrid_retrieval("sea lion", [1.0, 0.0], top_k=1, candidates=1)
    assert quoted.to_dict() == plain.to_dict()
    assert quoted.id == "dense"
    assert quoted.meta["retrieval"]["bm25_score"] > 0
