"""Haystack's metadata filters, compiled to SQL over the table of passages.

What a filter means is what `haystack.utils.filters.document_matches_filter` says of the stored document. Plain
comparisons become plain SQL. What SQL cannot decide exactly (dates, lists, numbers within a rounding error of each
other) is left to the SQL function `lodestone_test(key, raw)`, which calls Haystack's own comparison.

Unlike Haystack, which looks at a condition only when a document comes to it, a malformed filter is always refused.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import dateutil.parser  # type: ignore[import-untyped]
from haystack.errors import FilterError
from haystack.utils.filters import COMPARISON_OPERATORS, LOGICAL_OPERATORS

from lodestone.components.stores.encoding import INT64
from lodestone.components.stores.fields import StoredField, stored_field

MAX_DEPTH = 50
MAX_PARAMETERS = 30_000
ORDERING = (">", ">=", "<", "<=")

Test = Callable[[Any], bool]


@dataclass
class CompiledFilter:
    """A filter as an SQL expression that is 0 or 1 for every passage.

    :param sql: The expression; `?` for parameters.
    :param parameters: Their values, in order; a key of `tests` where the expression calls `lodestone_test`.
    :param tests: What `lodestone_test` is to call.
    """

    sql: str = "1"
    parameters: list[Any] = field(default_factory=list)
    tests: dict[int, Test] = field(default_factory=dict)


@dataclass(frozen=True)
class _Expression:
    """A part of the SQL with its parameters; `raises` when evaluating it can raise FilterError."""

    sql: str
    parameters: tuple[Any, ...] = ()
    raises: bool = False


FALSE = _Expression("0")


def compile_filter(filters: dict[str, Any] | None) -> CompiledFilter:
    """Compile a filter.

    :param filters: A comparison or logic filter of Haystack's; None or {} matches everything.
    :returns: The SQL expression, its parameters and tests.
    :raises FilterError: If the filter is malformed.
    """
    if not filters:
        return CompiledFilter()
    compiler = _Compiler()
    expression = compiler.condition(filters, depth=0)
    if len(expression.parameters) > MAX_PARAMETERS:
        raise FilterError(
            f"the filter has {len(expression.parameters)} values in separate conditions, at most {MAX_PARAMETERS} "
            "are possible: use the operator 'in' with one list"
        )
    return CompiledFilter(expression.sql, list(expression.parameters), compiler.tests)


class _Compiler:
    """Compiles one filter, and numbers the tests that it needs."""

    def __init__(self) -> None:
        self.tests: dict[int, Test] = {}

    def condition(self, condition: Any, depth: int) -> _Expression:
        if not isinstance(condition, dict):
            raise FilterError(f"a filter condition must be a dictionary, got {type(condition).__name__}: {condition!r}")
        if depth > MAX_DEPTH:
            raise FilterError(f"the filter is nested more than {MAX_DEPTH} deep")
        if "field" in condition:
            return self._comparison(condition)
        return self._logic(condition, depth)

    def _logic(self, condition: dict[str, Any], depth: int) -> _Expression:
        for key in ("operator", "conditions"):
            if key not in condition:
                raise FilterError(f"'{key}' key missing in {condition}")
        operator = condition["operator"]
        if operator not in LOGICAL_OPERATORS:
            raise FilterError(
                f"Unknown logical operator '{operator}'. Valid operators are: {sorted(LOGICAL_OPERATORS)}"
            )
        if not isinstance(condition["conditions"], list | tuple):
            raise FilterError(f"'conditions' must be a list, got {condition['conditions']!r}")
        parts = [self.condition(part, depth + 1) for part in condition["conditions"]]
        joined = _join(parts, "OR" if operator == "OR" else "AND")
        if operator == "NOT":
            return _Expression(f"(NOT {joined.sql})", joined.parameters, joined.raises)
        return joined

    def _comparison(self, condition: dict[str, Any]) -> _Expression:
        for key in ("operator", "value"):
            if key not in condition:
                raise FilterError(f"'{key}' key missing in {condition}")
        operator, value = condition["operator"], condition["value"]
        if not isinstance(condition["field"], str):
            raise FilterError(f"'field' must be a string, got {condition['field']!r}")
        if operator not in COMPARISON_OPERATORS:
            valid = sorted(COMPARISON_OPERATORS)
            raise FilterError(f"Unknown comparison operator '{operator}'. Valid operators are: {valid}")
        where = stored_field(condition["field"])
        if operator in ORDERING:
            return self._ordering(where, operator, value)
        if operator in ("in", "not in"):
            if not isinstance(value, list):
                raise FilterError(
                    f"Filter value must be a `list` when using operator 'in' or 'not in', received type '{type(value)}'"
                )
            found = self._in(where, value)
        else:
            found = self._equal(where, value)
        return found if operator in ("==", "in") else _Expression(f"(NOT {found.sql})", found.parameters)

    def _test(self, where: StoredField, operator: str, value: Any, raises: bool = False) -> _Expression:
        """A call of Haystack's own comparison."""

        def test(raw: Any) -> bool:
            try:
                return bool(COMPARISON_OPERATORS[operator](where.decode(raw), value, False))
            except (TypeError, ValueError, OverflowError) as error:
                if not raises:
                    return False
                raise FilterError(f"can't compare {where.name!r} with {value!r} by '{operator}': {error}") from error

        key = len(self.tests)
        self.tests[key] = test
        return _Expression(f"lodestone_test(?, {where.raw})", (key,), raises)

    def _equal(self, where: StoredField, value: Any) -> _Expression:
        if value is None and where.kind is not None:
            return _Expression(f"(coalesce({where.kind}, 'null') = 'null')")
        if where.kind is None:
            return self._test(where, "==", value)
        if isinstance(value, float) and math.isnan(value):
            return FALSE
        if _is_plain_number(value):
            if _is_whole(value):
                return _Expression(f"({where.value} IS ?)", (int(value),))
            low, high = _around(value)
            test = self._test(where, "==", value)
            near = f"coalesce({where.value} BETWEEN ? AND ?, 0)"
            return _Expression(f"({near} AND {test.sql})", (low, high, *test.parameters))
        if _is_plain_text(value):
            return _Expression(f"({where.value} IS ? AND {where.kind} = 'text')", (value,))
        test = self._test(where, "==", value)
        if isinstance(value, str | datetime):
            return _Expression(f"(coalesce({where.kind}, '') IN ('text', 'object') AND {test.sql})", test.parameters)
        if isinstance(value, list | dict):
            return _Expression(f"(coalesce({where.kind}, '') IN ('array', 'object') AND {test.sql})", test.parameters)
        return test

    def _in(self, where: StoredField, values: list[Any]) -> _Expression:
        if where.kind is None:
            return self._test(where, "in", values)
        texts = [value for value in values if _is_plain_text(value)]
        numbers = [int(value) for value in values if _is_whole(value)]
        others = [value for value in values if not (_is_plain_text(value) or _is_whole(value))]
        parts = []
        if texts:
            listed = f"{where.value} IN (SELECT value FROM json_each(?))"
            parts.append(_Expression(f"coalesce({where.kind} = 'text' AND {listed}, 0)", (json.dumps(texts),)))
        if numbers:
            listed = f"{where.value} IN (SELECT value FROM json_each(?))"
            parts.append(_Expression(f"coalesce({listed}, 0)", (json.dumps(numbers),)))
        if any(value is None for value in others):
            parts.append(self._equal(where, None))
            others = [value for value in others if value is not None]
        if others:
            parts.append(self._test(where, "in", others))
        return _join(parts, "OR")

    def _ordering(self, where: StoredField, operator: str, value: Any) -> _Expression:
        if value is None:
            return FALSE
        if isinstance(value, list):
            raise FilterError(f"Filter value can't be of type {type(value)} using operators {', '.join(ORDERING)}")
        if isinstance(value, str):
            value = _parse_date(value)
        test = self._test(where, operator, value, raises=True)
        if where.kind is None:
            return test
        kind = f"coalesce({where.kind}, 'null')"
        if not _is_plain_number(value):
            return _Expression(f"(CASE {kind} WHEN 'null' THEN 0 ELSE {test.sql} END)", test.parameters, raises=True)
        number = _number(value)
        low, high = _around(value)
        exact = f"{where.value} {operator} ?"
        near = f"{where.value} BETWEEN ? AND ?"
        sql = (
            f"(CASE {kind} WHEN 'null' THEN 0 "
            f"WHEN 'integer' THEN {exact} WHEN 'true' THEN {exact} WHEN 'false' THEN {exact} "
            f"WHEN 'real' THEN CASE WHEN {near} THEN {test.sql} ELSE {exact} END ELSE {test.sql} END)"
        )
        parameters = (number, number, number, low, high, *test.parameters, number, *test.parameters)
        return _Expression(sql, parameters, raises=True)


def _join(parts: list[_Expression], operator: str) -> _Expression:
    """AND or OR of any number of parts, evaluated from left to right as far as needed where a part can raise."""
    if not parts:
        return _Expression("1" if operator == "AND" else "0")
    if len(parts) == 1:
        return parts[0]
    parameters = tuple(parameter for part in parts for parameter in part.parameters)
    if any(part.raises for part in parts):
        # SQLite may evaluate the sides of AND in any order; the branches of CASE it takes as they stand.
        if operator == "AND":
            branches = " ".join(f"WHEN NOT {part.sql} THEN 0" for part in parts)
            return _Expression(f"(CASE {branches} ELSE 1 END)", parameters, raises=True)
        branches = " ".join(f"WHEN {part.sql} THEN 1" for part in parts)
        return _Expression(f"(CASE {branches} ELSE 0 END)", parameters, raises=True)
    return _Expression(_balanced([part.sql for part in parts], operator), parameters)


def _balanced(parts: list[str], operator: str) -> str:
    """Join in halves: a chain of a thousand would be a thousand deep, and SQLite refuses that."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return f"({_balanced(parts[:middle], operator)} {operator} {_balanced(parts[middle:], operator)})"


def _is_plain_number(value: Any) -> bool:
    """Whether SQLite can compare with the number: a bool, a 64-bit integer or a finite float."""
    if isinstance(value, int):
        return value in INT64
    return isinstance(value, float) and math.isfinite(value)


def _is_whole(value: Any) -> bool:
    """Whether a number is whole and small enough for every spelling of it to be read exactly."""
    return _is_plain_number(value) and abs(value) <= 2**53 and float(value).is_integer()


def _number(value: float) -> float:
    """The number as SQLite binds it: a bool is 0 or 1, and a whole float an integer where it fits."""
    if isinstance(value, int):
        return int(value)
    return int(value) if value.is_integer() and int(value) in INT64 else float(value)


def _around(value: float) -> tuple[float, float]:
    """Bounds outside which SQLite's reading of a decimal cannot be on the wrong side of the value."""
    margin = abs(float(value)) * 1e-12 + 5e-323
    return float(value) - margin, float(value) + margin


def _is_plain_text(value: Any) -> bool:
    """Whether a string equals only itself and is stored as it is: no date, no NUL, nothing that UTF-8 cannot hold."""
    if not isinstance(value, str) or "\0" in value or (len(value) >= 10 and value[4] == "-"):
        return False
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _parse_date(value: str) -> datetime:
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        try:
            parsed: datetime = dateutil.parser.parse(value)
            return parsed
        except (ValueError, OverflowError, TypeError) as error:
            raise FilterError(
                f"Can't compare strings using operators {', '.join(ORDERING)}: {value!r} is no ISO formatted date."
            ) from error
