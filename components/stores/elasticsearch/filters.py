"""Haystack's metadata filters as Elasticsearch queries.

What a filter means is what `haystack.utils.filters.document_matches_filter` says, save that dates are compared to the
millisecond, one without a time zone is taken to be in UTC, and values that cannot be ordered do not match instead of
raising an error. A malformed filter is always refused.
"""

import math
from collections.abc import Callable
from datetime import date as day
from datetime import datetime
from typing import Any

from haystack.errors import FilterError
from haystack.utils.filters import COMPARISON_OPERATORS, LOGICAL_OPERATORS

from lodestone.components.stores.dates import ORDERING, iso_date
from lodestone.components.stores.elasticsearch.values import date_term, field_name, json_term, term_of

Query = dict[str, Any]
ALL: Query = {"match_all": {}}
NONE: Query = {"match_none": {}}
MAX_DEPTH = 20  # Elasticsearch's own limit is 30 nested queries
_NOT_INDEXED = ("content", "blob", "score", "embedding", "sparse_embedding", "meta")
_RANGES = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}


def to_query(filters: dict[str, Any] | None) -> Query:
    """Translate a filter.

    :param filters: A comparison or logic filter of Haystack's; None or {} matches everything.
    :raises FilterError: If the filter is malformed.
    """
    return _condition(filters, 0) if filters else ALL


def _condition(condition: Any, depth: int) -> Query:
    if not isinstance(condition, dict):
        raise FilterError(f"a filter condition must be a dictionary, got {type(condition).__name__}: {condition!r}")
    if depth > MAX_DEPTH:
        raise FilterError(f"the filter is nested more than {MAX_DEPTH} deep")
    for key in ("operator", "value") if "field" in condition else ("operator", "conditions"):
        if key not in condition:
            raise FilterError(f"'{key}' key missing in {condition}")
    return _comparison(condition) if "field" in condition else _logic(condition, depth)


def _logic(condition: dict[str, Any], depth: int) -> Query:
    operator, conditions = condition["operator"], condition["conditions"]
    if operator not in LOGICAL_OPERATORS:
        raise FilterError(f"Unknown logical operator '{operator}'. Valid operators are: {sorted(LOGICAL_OPERATORS)}")
    if not isinstance(conditions, list | tuple):
        raise FilterError(f"'conditions' must be a list, got {conditions!r}")
    parts = [_condition(part, depth + 1) for part in conditions]
    if operator == "OR":
        return _any(parts)
    joined: Query = {"bool": {"filter": parts}} if parts else ALL
    return _not(joined) if operator == "NOT" else joined


def _comparison(condition: dict[str, Any]) -> Query:
    name, operator, value = condition["field"], condition["operator"], condition["value"]
    if not isinstance(name, str):
        raise FilterError(f"'field' must be a string, got {name!r}")
    if operator not in COMPARISON_OPERATORS:
        raise FilterError(
            f"Unknown comparison operator '{operator}'. Valid operators are: {sorted(COMPARISON_OPERATORS)}"
        )
    equal = _equality(name)
    if operator in ORDERING:
        return _ordering(name, operator, value)
    if operator in ("in", "not in"):
        if not isinstance(value, list):
            raise FilterError(
                f"Filter value must be a `list` when using operator 'in' or 'not in', received type '{type(value)}'"
            )
        found = _one_of(name, value)
    else:
        found = equal(value)
    return found if operator in ("==", "in") else _not(found)


def _equality(name: str) -> Callable[[Any], Query]:
    if name in _NOT_INDEXED:
        raise FilterError(f"Elasticsearch cannot filter by {name!r}: use 'id' or metadata ('meta.source')")
    if name == "id":
        return lambda value: _ids([value])
    return lambda value: _equal(name.removeprefix("meta."), value)


def _equal(path: str, value: Any) -> Query:
    if value is None:
        return _not({"term": {"fields": term_of(path)}})
    name = field_name(path)
    if isinstance(value, datetime | day) and not isinstance(value, datetime):
        return NONE
    if isinstance(value, datetime):
        return {"term": {f"date.{name}": date_term(value)}}
    if isinstance(value, int | float):
        return {"term": {f"number.{name}": float(value)}} if _is_number(value) else NONE
    if isinstance(value, str):
        date = iso_date(value)
        same: Query = {"term": {f"keyword.{name}": term_of(value)}}
        # What is finer than Elasticsearch's clock is compared as text.
        if date is None or date.microsecond % 1000:
            return same
        return _any([same, {"term": {f"date.{name}": date_term(date)}}])
    if isinstance(value, list | tuple | dict):
        return {"term": {f"other.{name}": json_term(value)}}
    raise FilterError(f"{path!r} cannot be compared with {type(value).__name__}: {value!r:.80}")


def _one_of(name: str, values: list[Any]) -> Query:
    if name == "id":
        return _ids(values)
    path = name.removeprefix("meta.")
    field = field_name(path)
    plain = [value for value in values if isinstance(value, str) and iso_date(value) is None]
    numbers = [float(value) for value in values if isinstance(value, int | float) and _is_number(value)]
    others = [value for value in values if not isinstance(value, int | float) and value not in plain]
    parts: list[Query] = [_equal(path, value) for value in others]
    if plain:
        parts.append({"terms": {f"keyword.{field}": [term_of(value) for value in plain]}})
    if numbers:
        parts.append({"terms": {f"number.{field}": numbers}})
    return _any(parts)


def _ordering(name: str, operator: str, value: Any) -> Query:
    if isinstance(value, list):
        raise FilterError(f"Filter value can't be of type {type(value)} using operators {', '.join(ORDERING)}")
    if name == "id":
        raise FilterError("'id' cannot be compared by order")
    if value is None:
        return NONE
    if isinstance(value, str):
        value = _date(value)
    field, bound = field_name(name.removeprefix("meta.")), _RANGES[operator]
    if isinstance(value, datetime):
        return {"range": {f"date.{field}": {bound: date_term(value), "format": "strict_date_optional_time"}}}
    if isinstance(value, int | float):
        if math.isnan(value):
            return NONE
        limit = math.copysign(1e308, value) if abs(value) >= 1e308 else float(value)
        return {"range": {f"number.{field}": {bound: limit}}}
    raise FilterError(f"{name!r} cannot be ordered against {type(value).__name__}: {value!r:.80}")


def _date(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise FilterError(
            f"Can't compare strings using operators {', '.join(ORDERING)}: {text!r} is no ISO formatted date."
        ) from None


def _is_number(value: float) -> bool:
    return math.isfinite(value) and abs(value) < 1e308


def _ids(values: list[Any]) -> Query:
    return {"ids": {"values": [value for value in values if isinstance(value, str)]}}


def _any(parts: list[Query]) -> Query:
    if not parts:
        return NONE
    return parts[0] if len(parts) == 1 else {"bool": {"should": parts, "minimum_should_match": 1}}


def _not(part: Query) -> Query:
    return {"bool": {"must_not": [part]}}
