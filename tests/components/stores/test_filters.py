"""The law: the compiled filter matches exactly the documents that Haystack's own function matches."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from haystack import Document
from haystack.errors import FilterError
from haystack.utils.filters import document_matches_filter
from hypothesis import given, settings
from hypothesis import strategies as st

from lodestone.components.stores import FaissDocumentStore
from lodestone.components.stores.database import Database
from lodestone.components.stores.encoding import decode_meta, encode_meta
from lodestone.components.stores.fields import stored_field
from lodestone.components.stores.filters import compile_filter
from lodestone.components.stores.passage_table import PassageTable, to_row

KEYS = ["a", "b", "a b", 'q"uote', "back\\slash", "it's", "é", "0", "$lodestone", "?", "x-y", "content", "meta", ""]
DATES = [
    "2025-02-03",
    "2025-02-03T00:00:00",
    "2025-02-03T01:00:00+01:00",
    "2025-02-03T00:00:00Z",
    "2025-02-03 24:00",
    "2025-13-40",
    "1969-07-21T20:17:40",
    "3 Feb 2025",
    "10",
    "2025-02-03T00:00:00.5",
    "2025-02-03T00:00:00.500000",
    "2025-02-03T00:00:00.000000",
    "2025-02-03T00:00:00.500000Z",
    "2025-02-03T00:00:00.500000+00:00",
    "2025-02-03t00:00:00",
    "2025-02-30",
    "2025-02-30T00:00:00",
    "2025-02-03T24:00:00",
    "0000-01-01",
    "0001-01-01T00:00:00",
    "9999-12-31T23:59:59",
    "2025-02-03T00:00:00 ",
    "2025-02-03T00:00:00+00:00",
    "2025-02-02T23:00:00-01:00",
    "2025-02-03T00:00",
    "20250203T000000",
]


def parsed(date: str) -> bool:
    try:
        return compile_filter({"field": "meta.a", "operator": ">", "value": date}).sql != "1"
    except FilterError:
        return False


PARSED_DATES = [date for date in DATES if parsed(date)]
TEXTS = ["", "1", " 0.1", "x", "x\0y", "X", "é", "a'b", '"', "100%", "_", "true", "null", "\n\t", "🦀", "[1]", *DATES]
NUMBERS = [0, 1, -1, 2, 2**53 + 1, 2**63, -(2**70), 0.0, -0.0, 0.1, 0.1 + 0.2, 0.3, 1.0, 1e22, 5e-324, 1.7e308]
NUMBERS += [float("inf"), float("-inf"), float("nan")]

texts = st.sampled_from(TEXTS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
numbers = st.sampled_from(NUMBERS) | st.integers(-3, 3) | st.floats()
scalars = st.none() | st.booleans() | numbers | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=2),
    max_leaves=4,
)
metas = st.dictionaries(st.sampled_from(KEYS), values, max_size=4)
documents = st.builds(
    lambda identifier, content, meta, score: Document(id=identifier, content=content, meta=meta, score=score),
    st.sampled_from(["id", "1", "2025-02-03"]),
    st.none() | texts,
    metas,
    st.none() | st.floats(allow_nan=False),
)
dates = st.datetimes() | st.datetimes(timezones=st.just(UTC))
paths = st.lists(st.sampled_from(KEYS), min_size=1, max_size=2).map(".".join)
fields = paths.map("meta.".__add__) | paths | st.sampled_from(["id", "content", "score", "meta", "blob", "embedding"])


def comparison(operator: str, value: Any) -> st.SearchStrategy[dict[str, Any]]:
    return fields.map(lambda field: {"field": field, "operator": operator, "value": value})


comparisons = (
    st.tuples(st.sampled_from(["==", "!="]), values | dates)
    | st.tuples(st.sampled_from(["in", "not in"]), st.lists(values | dates, max_size=4))
    | st.tuples(st.sampled_from([">", ">=", "<", "<="]), st.none() | st.booleans() | numbers | dates)
    | st.tuples(st.sampled_from([">", ">=", "<", "<="]), st.sampled_from(PARSED_DATES))
).flatmap(lambda pair: comparison(*pair))
filters = st.recursive(
    comparisons,
    lambda inner: st.builds(
        lambda operator, conditions: {"operator": operator, "conditions": conditions},
        st.sampled_from(["AND", "OR", "NOT"]),
        st.lists(inner, max_size=3),
    ),
    max_leaves=5,
)


@pytest.fixture(scope="module", params=["scanned", "indexed"])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Database:
    database = Database(tmp_path_factory.mktemp("filters") / "passages.sqlite", create={})
    if request.param == "indexed":
        fields = [key for key in KEYS if stored_field(f"meta.{key}").keys]
        fields += [f"{one}.{other}" for one in "ab" for other in "ab"]
        with database.transaction():
            database.metadata_indexes.create([(field, what) for field in fields for what in ("value", "clock")])
    return database


def matches(database: Database, filters: dict[str, Any], document: Document) -> bool | str:
    with database.transaction():
        table = PassageTable(database)
        table.delete(table.matching(None).tolist())
        table.insert([to_row(document)])
        try:
            return table.matching(filters).size == 1
        except FilterError:
            return "error"


def haystack_matches(filters: dict[str, Any], document: Document) -> bool | str:
    try:
        stored = Document(**{**vars(document), "meta": decode_meta(encode_meta(document.meta))})
        return bool(document_matches_filter(filters, stored))
    except (FilterError, TypeError, OverflowError):
        return "error"


@settings(max_examples=400, deadline=None)
@given(filters=filters, document=documents)
def test_a_filter_matches_what_haystack_says_it_matches(
    database: Database, filters: dict[str, Any], document: Document
) -> None:
    assert matches(database, filters, document) == haystack_matches(filters, document)


@settings(max_examples=150, deadline=None)
@given(value=values, other=values, operator=st.sampled_from(["==", "!=", ">", ">=", "<", "<=", "in"]))
def test_any_two_values_compare_as_in_haystack(database: Database, value: Any, other: Any, operator: str) -> None:
    document = Document(id="id", meta={"a": value})
    condition = {"field": "meta.a", "operator": operator, "value": [other] if operator == "in" else other}
    expected = haystack_matches(condition, document)
    if operator in (">", ">=", "<", "<=") and isinstance(other, str | list) and value is None:
        try:  # Haystack does not look at the filter's value where the document has none; a malformed one is refused
            compile_filter(condition)
        except FilterError:
            return
    assert matches(database, condition, document) == expected


@settings(max_examples=300, deadline=None)
@given(
    date=st.sampled_from(DATES) | st.datetimes().map(datetime.isoformat) | st.dates().map(str),
    other=st.sampled_from(PARSED_DATES) | dates,
    operator=st.sampled_from(["==", "!=", ">", ">=", "<", "<="]),
)
def test_dates_compare_as_in_haystack(database: Database, date: str, other: Any, operator: str) -> None:
    document = Document(id="id", meta={"a": date})
    condition = {"field": "meta.a", "operator": operator, "value": other}
    assert matches(database, condition, document) == haystack_matches(condition, document)
    condition = {"field": "meta.a", "operator": "in" if operator[0] in "=>" else "not in", "value": [other, 1.5, date]}
    assert matches(database, condition, document) == haystack_matches(condition, document)


def test_a_condition_behind_one_that_decides_is_not_evaluated(database: Database) -> None:
    document = Document(id="id", meta={"kind": "text", "value": "not a date"})
    number = {"field": "meta.value", "operator": ">", "value": 3}
    kind = {"field": "meta.kind", "operator": "==", "value": "number"}
    assert matches(database, {"operator": "AND", "conditions": [kind, number]}, document) is False
    assert matches(database, {"operator": "AND", "conditions": [number, kind]}, document) == "error"


@pytest.mark.parametrize(
    "filters",
    [
        {"operator": "XOR", "conditions": []},
        {"operator": "AND", "conditions": {"field": "meta.a"}},
        {"operator": "AND", "conditions": ["meta.a"]},
        {"field": "meta.a", "operator": "like", "value": "x"},
        {"field": 3, "operator": "==", "value": "x"},
        {"field": "meta.a", "operator": "in", "value": "x"},
        {"field": "meta.a", "operator": ">", "value": "no date"},
        {"field": "meta.a", "operator": ">", "value": [1]},
    ],
)
def test_a_malformed_filter_is_refused_before_any_document_is_looked_at(filters: dict[str, Any]) -> None:
    with pytest.raises(FilterError):
        compile_filter(filters)


def test_a_filter_nested_too_deeply_is_refused() -> None:
    filters: dict[str, Any] = {"field": "meta.a", "operator": "==", "value": 1}
    for _ in range(60):
        filters = {"operator": "NOT", "conditions": [filters]}
    with pytest.raises(FilterError, match="more than 20 deep"):
        compile_filter(filters)


def test_a_filter_that_sqlite_cannot_read_is_refused_in_words(tmp_path: Path) -> None:
    with FaissDocumentStore(str(tmp_path / "index")) as store:
        store.write_documents([Document(content="x", meta={"a": 2})])
        leaf: dict[str, Any] = {"field": "meta.a", "operator": ">", "value": 1}
        filters = leaf
        for _ in range(19):
            filters = {"operator": "NOT", "conditions": [leaf, filters]}
        with pytest.raises(FilterError, match="nested more than SQLite can read: give conditions"):
            store.filter_documents(filters)
        assert store.count_documents_by_filter({"operator": "AND", "conditions": [leaf] * 300}) == 1


def test_nested_metadata_dates_and_hundreds_of_thousands_of_values_are_found(tmp_path: Path) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents(
            [
                Document(
                    id=str(n), content="x", meta={"n": n, "deep": {"er": {"name": f"n{n}"}}, "day": f"2025-01-{n:02}"}
                )
                for n in range(1, 31)
            ]
        )

        def found(field: str, operator: str, value: Any) -> list[str]:
            condition = {"field": field, "operator": operator, "value": value}
            return [document.id for document in store.filter_documents(condition)]

        assert found("meta.deep.er.name", "==", "n7") == ["7"]
        assert found("deep", "==", {"er": {"name": "n7"}}) == ["7"]
        assert found("meta.day", ">", datetime(2025, 1, 28, 12)) == ["29", "30"]
        assert found("meta.day", "==", "2025-01-03T00:00:00") == ["3"]
        assert found("meta.n", "in", list(range(29, 300_000))) == ["29", "30"]
        assert len(found("id", "not in", [str(n) for n in range(300_000)])) == 0
        many = [{"field": "meta.n", "operator": "==", "value": n} for n in range(5000)]
        assert len(store.filter_documents({"operator": "OR", "conditions": many})) == 30
        ranges = [{"field": "meta.n", "operator": ">", "value": n} for n in range(2000)]
        assert len(store.filter_documents({"operator": "OR", "conditions": ranges})) == 30


@pytest.mark.parametrize("field", ["meta.a' OR 1=1 --", 'meta.a") OR 1=1 --', "a'; DROP TABLE passages; --", "meta.'"])
def test_nothing_in_a_filter_becomes_sql(tmp_path: Path, field: str) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents([Document(id="1", meta={"a": 1})])
        for value in ["' OR 1=1 --", 1, None]:
            found = store.filter_documents({"field": field, "operator": "==", "value": value})
            assert len(found) == (value is None)
        assert store.count_documents() == 1
