"""Indexes on metadata: made where they pay, and never changing what a filter finds."""

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from haystack import Document
from haystack.errors import FilterError
from haystack.utils.filters import document_matches_filter

from lodestone.components.errors import ConfigurationError
from lodestone.components.stores import FaissDocumentStore, metadata_indexes, passage_table

COUNT = 400


def documents() -> list[Document]:
    chance = random.Random(1)
    days = [f"20{n % 24:02}-{n % 12 + 1:02}-{n % 31 + 1:02}" for n in range(COUNT)]
    return [
        Document(
            id=str(n),
            content="x",
            meta={
                "lang": chance.choice(["en", "de", "fr", None]),
                "n": chance.choice([n, n / 7, n % 2 == 0, None]),
                "day": min(days[n], f"{days[n][:8]}28") + chance.choice(["", "T10:00:00", "T10:00:00Z"]),
                "odd": chance.choice([n, f"text {n}", [n], {"a": n}, None, "2024-02-30", days[n]]),
                "deep": {"er": n % 5},
            },
        )
        for n in range(COUNT)
    ]


FILTERS: list[dict[str, Any]] = [
    {"field": "meta.lang", "operator": "==", "value": "en"},
    {"field": "meta.lang", "operator": "!=", "value": "en"},
    {"field": "meta.lang", "operator": "==", "value": None},
    {"field": "meta.lang", "operator": "not in", "value": ["en", None]},
    {"field": "meta.n", "operator": "in", "value": [1, 0, 12.5, "x"]},
    {"field": "meta.n", "operator": ">", "value": 20.5},
    {"field": "meta.n", "operator": "<=", "value": 3 / 7},
    {"field": "meta.day", "operator": ">=", "value": "2010-05-06T10:00:00+00:00"},
    {"field": "meta.day", "operator": "<", "value": "2010-05-06"},
    {"field": "meta.day", "operator": "==", "value": "2010-11-11"},
    {"field": "meta.odd", "operator": "==", "value": "2024-02-30"},
    {"field": "meta.odd", "operator": ">", "value": 3},
    {"field": "meta.deep.er", "operator": "in", "value": [2, 3]},
    {"field": "id", "operator": "not in", "value": ["1", "2"]},
    {
        "operator": "AND",
        "conditions": [
            {"field": "meta.lang", "operator": "==", "value": "de"},
            {"operator": "NOT", "conditions": [{"field": "meta.deep.er", "operator": ">", "value": 3}]},
            {"field": "meta.day", "operator": ">", "value": "2005-01-01"},
        ],
    },
    {
        "operator": "OR",
        "conditions": [
            {"field": "meta.lang", "operator": "==", "value": "fr"},
            {"field": "meta.n", "operator": "<", "value": 5},
        ],
    },
]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaissDocumentStore]:
    monkeypatch.setattr(metadata_indexes, "LARGE", COUNT)
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents(documents())
        yield store


def found(store: FaissDocumentStore, filters: dict[str, Any]) -> list[str] | str:
    try:
        return [document.id for document in store.filter_documents(filters)]
    except FilterError:
        return "error"


def expected(filters: dict[str, Any]) -> list[str] | str:
    try:
        return [document.id for document in documents() if document_matches_filter(filters, document)]
    except FilterError:
        return "error"


def indexes(store: FaissDocumentStore) -> list[str]:
    with store._core.reading() as database:
        assert database is not None
        return database.metadata_indexes.names()


@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_an_index_changes_nothing_that_a_filter_finds(store: FaissDocumentStore, filters: dict[str, Any]) -> None:
    assert found(store, filters) == expected(filters)
    store.index_metadata(["lang", "meta.n", "day", "odd", "deep.er"])
    assert found(store, filters) == expected(filters)
    assert "filter as date:day" in indexes(store)


@pytest.mark.parametrize(
    ("filters", "name"), [(FILTERS[0], "filter:lang"), (FILTERS[5], "filter:n"), (FILTERS[8], "filter as date:day")]
)
def test_what_is_filtered_often_gets_an_index_that_is_used(
    store: FaissDocumentStore, filters: dict[str, Any], name: str
) -> None:
    for _ in range(metadata_indexes.OFTEN):
        assert indexes(store) == []
        store.count_documents_by_filter(filters)
    assert name in indexes(store)
    with store._core.reading() as database:
        assert database is not None
        compiled = database.metadata_indexes.compile(filters)
        sql = f"EXPLAIN QUERY PLAN SELECT row FROM passages WHERE {compiled.sql}"
        assert f"USING INDEX {name}" in str(database.execute(sql, compiled.parameters, compiled))


@pytest.mark.parametrize(("name", "limit"), [("LARGE", COUNT + 1), ("HUGE", COUNT - 1)])
def test_only_stores_of_a_certain_size_get_indexes_unasked(
    store: FaissDocumentStore, monkeypatch: pytest.MonkeyPatch, name: str, limit: int
) -> None:
    monkeypatch.setattr(metadata_indexes, name, limit)
    for _ in range(5 * metadata_indexes.OFTEN):
        store.count_documents_by_filter(FILTERS[0])
    assert indexes(store) == []


def test_there_are_never_more_than_a_few_indexes_unasked(
    store: FaissDocumentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata_indexes, "MOST", 2)
    for _ in range(2 * metadata_indexes.OFTEN):
        for name in "abcdef":
            store.count_documents_by_filter({"field": f"meta.{name}", "operator": "==", "value": 1})
    assert len(indexes(store)) == 2


def test_a_reader_makes_no_index_while_another_process_writes(store: FaissDocumentStore) -> None:
    store.close()
    script = (
        "import sys; from haystack import Document; from lodestone import FaissDocumentStore\n"
        "store = FaissDocumentStore(sys.argv[1]); store.write_documents([Document(id='new', content='x')])\n"
        "print('ready', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, store.path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        for _ in range(metadata_indexes.OFTEN):
            assert found(store, FILTERS[0]) == expected(FILTERS[0])
        assert indexes(store) == []
        writer.communicate()
    for _ in range(metadata_indexes.OFTEN):
        store.count_documents_by_filter(FILTERS[0])
    assert indexes(store) == ["filter:lang"]


def test_a_field_that_cannot_be_indexed_is_refused(store: FaissDocumentStore) -> None:
    with pytest.raises(ConfigurationError, match="no index on 'a\"b'"):
        store.index_metadata(['a"b'])
    store.index_metadata(["it's", "a b", "é"])
    assert indexes(store) == ["filter:it's", "filter:a b", "filter:é"]
    assert found(store, {"field": "meta.it's", "operator": "==", "value": None}) == [str(n) for n in range(COUNT)]


def test_a_filter_that_is_used_again_sees_what_was_written_between(store: FaissDocumentStore, tmp_path: Path) -> None:
    english = FILTERS[0]
    before = len(store.bm25_retrieval("x", filters=english, top_k=COUNT))
    store.write_documents([Document(id="new", content="x", meta={"lang": "en"})])
    assert len(store.bm25_retrieval("x", filters=english, top_k=COUNT)) == before + 1
    store.update_by_filter(english, {"lang": "de"})
    assert store.bm25_retrieval("x", filters=english, top_k=COUNT) == []
    assert len(store.bm25_retrieval("x", filters={**english, "value": "de"}, top_k=COUNT)) > before
    number = {"field": "meta.n", "operator": "==", "value": 1}
    assert store.bm25_retrieval("x", filters=number, top_k=COUNT) != []
    assert store.bm25_retrieval("x", filters={**number, "value": "1"}, top_k=COUNT) == []


def test_the_rows_of_few_filters_are_kept(store: FaissDocumentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passage_table, "_KEPT_ROWS", COUNT)
    core = store._core
    for number in range(80):
        store.bm25_retrieval("x", filters={"field": "id", "operator": "==", "value": str(number)})
    assert core._database is not None
    assert len(core._database.kept_rows) == passage_table._KEPT_FILTERS
    for number in range(3):
        found = store.bm25_retrieval("x", filters={"field": "id", "operator": "!=", "value": str(number)}, top_k=COUNT)
        assert len(found) == COUNT - 1
    assert [len(rows) for rows in core._database.kept_rows.values()] == [COUNT - 1]
