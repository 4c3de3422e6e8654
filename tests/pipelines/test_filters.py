import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lodestone.components.errors import ConfigurationError
from lodestone.pipelines.filters import parse_filters


@pytest.mark.parametrize(
    ("text", "field", "operator", "value"),
    [
        ("source == leave.md", "meta.source", "==", "leave.md"),
        ("source=='leave.md'", "meta.source", "==", "leave.md"),
        ('meta.source != "a b.md"', "meta.source", "!=", "a b.md"),
        ("page_number >= 3", "meta.page_number", ">=", 3),
        ("year<1911.5", "meta.year", "<", 1911.5),
        ("date > 2024-01-31", "meta.date", ">", "2024-01-31"),
        ("kind in [1, 2]", "meta.kind", "in", [1, 2]),
        ("kind  not  in a.md, b.md", "meta.kind", "not in", ["a.md", "b.md"]),
        ("draft == null", "meta.draft", "==", None),
        ("id == abc", "id", "==", "abc"),
        ("meta.owner.name <= x", "meta.owner.name", "<=", "x"),
    ],
)
def test_a_comparison_reads_as_it_is_written(text: str, field: str, operator: str, value: Any) -> None:
    assert parse_filters([text]) == {"field": field, "operator": operator, "value": value}


def test_several_filters_must_all_match() -> None:
    both = parse_filters(["a == 1", "b == 2"])
    assert both is not None
    assert both["operator"] == "AND"
    assert [condition["field"] for condition in both["conditions"]] == ["meta.a", "meta.b"]
    assert parse_filters([]) is None
    assert parse_filters(None) is None


@given(value=st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_a_haystack_filter_as_json_is_taken_as_it_is(value: Any) -> None:
    given_filter = {"operator": "NOT", "conditions": [{"field": "meta.x", "operator": "==", "value": value}]}
    assert parse_filters([json.dumps(given_filter)]) == given_filter


@pytest.mark.parametrize("text", ["source", "== x", "source ~ x", "", "{broken"])
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="filter"):
        parse_filters([text])
