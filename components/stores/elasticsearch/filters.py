"""Haystack's metadata filters as Elasticsearch queries.

What a filter means is what `haystack.utils.filters.document_matches_filter` says, save that dates are compared to the
millisecond, one without a time zone is taken to be in UTC, whole numbers beyond 2^53 are ordered as doubles, and values
that cannot be ordered do not match instead of raising an error. A malformed filter is always refused.
"""

import contextlib
import json
import math
from collections.abc import Callable, Sequence
from datetime import date as day
from datetime import datetime
from typing import Any

from haystack.errors import FilterError
from haystack.utils.filters import COMPARISON_OPERATORS, LOGICAL_OPERATORS

from lodestone.components.stores.dates import ORDERING, iso_date
from lodestone.components.stores.elasticsearch.values import date_term, field_name, json_term, term_of, terms_of
from lodestone.components.stores.encoding import encode_meta

Query = dict[str, Any]
ALL: Query = {"match_all": {}}
NONE: Query = {"match_none": {}}
MAX_DEPTH = 20  # Elasticsearch's own limit is 30 nested queries
_NOT_INDEXED = ("content", "blob", "score", "embedding", "sparse_embedding", "meta")
_RANGES = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}
_MOST_TERMS = 65_536  # of one query, Elasticsearch's own limit
_EXACT = 2**53  # up to here a double tells all whole numbers apart


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
        return _same_number(name, value)
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


def _same_number(field: str, value: float) -> Query:
    if not math.isfinite(value):
        return NONE
    if abs(value) > _EXACT:
        # Doubles do not tell these apart. Their JSON is indexed, too.
        return _terms(f"other.{field}", _spellings(value))
    if value == 0:
        # Which equal each other everywhere but in Elasticsearch.
        return _terms(f"number.{field}", [0.0, -0.0])
    return {"term": {f"number.{field}": float(value)}}


def _spellings(value: float) -> list[str]:
    """The terms of a large whole number, which documents have as an integer, of 64 bits or beyond, or as a float."""
    whole = int(value)
    spelled = [encode_meta({"": whole})]
    with contextlib.suppress(OverflowError):
        if float(whole) == whole:
            spelled.append(encode_meta({"": float(whole)}))
    return [terms_of(json.loads(text)[""])["other"] for text in spelled]


def _one_of(name: str, values: list[Any]) -> Query:
    if name == "id":
        return _ids(values)
    path = name.removeprefix("meta.")
    field = field_name(path)
    texts: list[str] = []
    numbers: list[float] = []
    large: list[str] = []
    parts: list[Query] = []
    for value in values:
        if isinstance(value, str) and iso_date(value) is None:
            texts.append(term_of(value))
        elif isinstance(value, int | float) and value and abs(value) <= _EXACT:
            numbers.append(float(value))
        elif isinstance(value, int | float) and math.isfinite(value) and value:
            large += _spellings(value)
        else:
            parts.append(_equal(path, value))
    for kind, terms in (("keyword", texts), ("number", numbers), ("other", large)):
        if terms:
            parts.append(_terms(f"{kind}.{field}", terms))
    return _any(parts)


def _terms(field: str, terms: Sequence[str | float]) -> Query:
    """One of some terms, however many."""
    starts = range(0, len(terms), _MOST_TERMS)
    return _any([{"terms": {field: list(terms[start : start + _MOST_TERMS])}} for start in starts])


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
        if limit == 0:
            # Elasticsearch puts -0.0 before 0.0.
            limit = 0.0 if operator in (">", "<=") else -0.0
        return {"range": {f"number.{field}": {bound: limit}}}
    raise FilterError(f"{name!r} cannot be ordered against {type(value).__name__}: {value!r:.80}")


def _date(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise FilterError(
            f"Can't compare strings using operators {', '.join(ORDERING)}: {text!r} is no ISO formatted date."
        ) from None


def _ids(values: list[Any]) -> Query:
    return {"ids": {"values": [value for value in values if isinstance(value, str)]}}


def _any(parts: list[Query]) -> Query:
    if not parts:
        return NONE
    return parts[0] if len(parts) == 1 else {"bool": {"should": parts, "minimum_should_match": 1}}


def _not(part: Query) -> Query:
    return {"bool": {"must_not": [part]}}
