"""Haystack's metadata filters, compiled to SQL over the table of passages.

What a filter means is what `haystack.utils.filters.document_matches_filter` says of the stored document. Plain
comparisons become plain SQL. What SQL cannot decide exactly (dates, lists, numbers within a rounding error of each
other) is left to the SQL function `lodestone_test(key, raw)`, which calls Haystack's own comparison. Where a field has
an index, and its values are known to be only numbers or only dates, ranges of it are looked up there.

Unlike Haystack, which looks at a condition only when a document comes to it, a malformed filter is always refused.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from haystack.errors import FilterError
from haystack.utils.filters import COMPARISON_OPERATORS, LOGICAL_OPERATORS

from lodestone.components.stores.dates import ORDERING, clocks_of, iso_date, parse_date
from lodestone.components.stores.encoding import INT64
from lodestone.components.stores.fields import StoredField, stored_field
from lodestone.components.stores.keys import key_of

MAX_DEPTH = 20  # as in Elasticsearch; of some conditions SQLite can read fewer
MAX_PARAMETERS = 30_000
_MAX_SEPARATE = 50  # values of a list that are compared each by itself

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


class Facts(Protocol):
    """What is known of the values that are stored."""

    def index_of(self, where: StoredField, what: str) -> bool:
        """Whether there is an index on a field.

        :param where: The field.
        :param what: "value" or "clock": the field's attribute that would be compared.
        """

    def only_numbers(self, where: StoredField) -> bool:
        """Whether a field is indexed and its values are only numbers, or None."""

    def only_dates(self, where: StoredField) -> str:
        """ "n", "u" or "nu" if a field is indexed and its values are dates of these kinds (`fields.clock_of`), or None.

        :returns: "" if there are other values, or if it is not known.
        """


class _NoFacts:
    def index_of(self, where: StoredField, what: str) -> bool:
        return False

    def only_numbers(self, where: StoredField) -> bool:
        return False

    def only_dates(self, where: StoredField) -> str:
        return ""


@dataclass(frozen=True)
class _Expression:
    """A part of the SQL with its parameters; NULL means false.

    :param raises: Whether evaluating it can raise FilterError.
    :param indexed: Whether an index finds the rows that match.
    """

    sql: str
    parameters: tuple[Any, ...] = ()
    raises: bool = False
    indexed: bool = False


FALSE = _Expression("0")


def compile_filter(filters: dict[str, Any] | None, facts: Facts | None = None) -> CompiledFilter:
    """Compile a filter.

    :param filters: A comparison or logic filter of Haystack's; None or {} matches everything.
    :param facts: What is known of the stored values, which makes for SQL that indexes serve.
    :returns: The SQL expression, its parameters and tests.
    :raises FilterError: If the filter is malformed.
    """
    if not filters:
        return CompiledFilter()
    compiler = _Compiler(_NoFacts() if facts is None else facts)
    expression = compiler.condition(filters, depth=0)
    if len(expression.parameters) > MAX_PARAMETERS:
        raise FilterError(
            f"the filter has {len(expression.parameters)} values in separate conditions, at most {MAX_PARAMETERS} "
            "are possible: use the operator 'in' with one list"
        )
    return CompiledFilter(expression.sql, list(expression.parameters), compiler.tests)


class _Compiler:
    """Compiles one filter, and numbers the tests that it needs."""

    def __init__(self, facts: Facts) -> None:
        self.tests: dict[int, Test] = {}
        self._facts = facts

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
        return _not(joined) if operator == "NOT" else joined

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
        return found if operator in ("==", "in") else _not(found)

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
            return _Expression(f"({where.value} IS NULL)", indexed=self._facts.index_of(where, "value"))
        if where.kind is None:
            return self._test(where, "==", value)
        if isinstance(value, float) and math.isnan(value):
            return FALSE
        if _is_plain_number(value):
            indexed = self._facts.index_of(where, "value")
            if _is_whole(value):
                return _Expression(f"({where.value} IS ?)", (int(value),), indexed=indexed)
            low, high = _around(value)
            test = self._test(where, "==", value)
            sql = f"({where.value} BETWEEN ? AND ? AND {test.sql})"
            return _Expression(sql, (low, high, *test.parameters), indexed=indexed)
        if _is_plain_text(value):
            return self._one_of(where, [value])
        test = self._test(where, "==", value)
        if isinstance(value, str | datetime):
            return self._same_date(where, value, test)
        if isinstance(value, list | dict):
            return _Expression(f"(coalesce({where.kind}, '') IN ('array', 'object') AND {test.sql})", test.parameters)
        return test

    def _same_date(self, where: StoredField, value: str | datetime, test: _Expression) -> _Expression:
        """Equality with what may be a date."""
        clocks = clocks_of(iso_date(value) if isinstance(value, str) else value)
        tested = f"({where.kind} IN ('text', 'object') AND {test.sql})"
        if clocks is None or not self._facts.index_of(where, "clock"):
            return _Expression(tested, test.parameters)
        sql = f"({where.clock} IN (?, ?) OR ({where.clock} = 'x' AND {tested}))"
        return _Expression(sql, (*clocks, *test.parameters), indexed=True)

    def _one_of(self, where: StoredField, texts: list[str]) -> _Expression:
        """Equality with one of some plain texts."""
        equal = f"{where.value} IS ?" if len(texts) == 1 else f"{where.value} IN (SELECT value FROM json_each(?))"
        # Lists and dictionaries have their JSON as their value.
        if any(text[:1] in ("[", "{") for text in texts):
            equal = f"({equal} AND {where.kind} = 'text')"
        parameters = (texts[0] if len(texts) == 1 else json.dumps(texts),)
        if where.name == "id":
            keys = json.dumps([key_of(text) for text in texts])
            return _Expression(
                f"(key IN (SELECT value FROM json_each(?)) AND {equal})", (keys, *parameters), indexed=True
            )
        return _Expression(f"({equal})", parameters, indexed=self._facts.index_of(where, "value"))

    def _in(self, where: StoredField, values: list[Any]) -> _Expression:
        if where.kind is None:
            return self._test(where, "in", values)
        texts = [value for value in values if _is_plain_text(value)]
        numbers = [int(value) for value in values if _is_whole(value)]
        others = [value for value in values if value is not None and not (_is_plain_text(value) or _is_whole(value))]
        parts = []
        if texts:
            parts.append(self._one_of(where, texts))
        if numbers:
            listed = f"({where.value} IN (SELECT value FROM json_each(?)))"
            indexed = self._facts.index_of(where, "value")
            parts.append(_Expression(listed, (json.dumps(numbers),), indexed=indexed))
        if any(value is None for value in values):
            parts.append(self._equal(where, None))
        if len(others) <= _MAX_SEPARATE:
            parts.extend(self._equal(where, value) for value in others)
        else:
            parts.append(self._test(where, "in", others))
        return _join(parts, "OR")

    def _ordering(self, where: StoredField, operator: str, value: Any) -> _Expression:
        if value is None:
            return FALSE
        if isinstance(value, list):
            raise FilterError(f"Filter value can't be of type {type(value)} using operators {', '.join(ORDERING)}")
        if isinstance(value, str):
            value = parse_date(value)
        test = self._test(where, operator, value, raises=True)
        if where.kind is None:
            return test
        clocks = clocks_of(value) if isinstance(value, datetime) else None
        kinds = "" if clocks is None else self._facts.only_dates(where)
        if clocks is not None and kinds:
            return _date_range(where, operator, [clock for clock in clocks if clock[0] in kinds])
        if _is_plain_number(value):
            return self._number_ordering(where, operator, value, test)
        kind = f"coalesce({where.kind}, 'null')"
        return _Expression(f"(CASE {kind} WHEN 'null' THEN 0 ELSE {test.sql} END)", test.parameters, raises=True)

    def _number_ordering(self, where: StoredField, operator: str, value: float, test: _Expression) -> _Expression:
        indexed = self._facts.index_of(where, "value")
        number = _number(value)
        low, high = _around(value)
        exact = f"{where.value} {operator} ?"
        near = f"{where.value} BETWEEN ? AND ?"
        if self._facts.only_numbers(where):
            beyond, bound = (">", high) if operator[0] == ">" else ("<", low)
            closer = f"({near} AND CASE {where.kind} WHEN 'real' THEN {test.sql} ELSE {exact} END)"
            parameters: tuple[Any, ...] = (bound, low, high, *test.parameters, number)
            return _Expression(f"({where.value} {beyond} ? OR {closer})", parameters, indexed=indexed)
        sql = (
            f"(CASE coalesce({where.kind}, 'null') WHEN 'null' THEN 0 "
            f"WHEN 'integer' THEN {exact} WHEN 'true' THEN {exact} WHEN 'false' THEN {exact} "
            f"WHEN 'real' THEN CASE WHEN {near} THEN {test.sql} ELSE {exact} END ELSE {test.sql} END)"
        )
        parameters = (number, number, number, low, high, *test.parameters, number, *test.parameters)
        return _Expression(sql, parameters, raises=True)


def _date_range(where: StoredField, operator: str, clocks: list[str]) -> _Expression:
    # Each kind of date is a range of the index. SQLite takes one bound a side from it, and works out `clock` for more.
    other = "<" if operator[0] == ">" else ">"
    ranges = [
        f"{where.clock} {operator} ? AND {where.clock} {other} '{clock[0]}{'~' if other == '<' else ''}'"
        for clock in clocks
    ]
    if len(ranges) > 1:
        ranges = [_looked_up(one) for one in ranges]
    return _Expression(f"({' OR '.join(ranges)})", tuple(clocks), indexed=True)


def _looked_up(sql: str) -> str:
    """The same, as rows that are found by themselves, and not checked against others by reading their metadata."""
    return f"(passages.row IN (SELECT row FROM passages WHERE {sql}))"


def _not(part: _Expression) -> _Expression:
    if part.indexed and not part.raises:
        # The index finds what matches; all other rows need not be looked into.
        return _Expression(f"(NOT {_looked_up(part.sql)})", part.parameters)
    return _Expression(f"(NOT coalesce({part.sql}, 0))", part.parameters, part.raises)


def _join(parts: list[_Expression], operator: str) -> _Expression:
    """AND or OR of any number of parts, evaluated from left to right as far as needed where a part can raise."""
    if not parts:
        return _Expression("1" if operator == "AND" else "0")
    if len(parts) == 1:
        return parts[0]
    indexed = (any if operator == "AND" else all)(part.indexed for part in parts)
    parameters = tuple(parameter for part in parts for parameter in part.parameters)
    if not any(part.raises for part in parts):
        several = operator == "AND" and sum(part.indexed for part in parts) > 1
        sqls = [_looked_up(part.sql) if several and part.indexed else part.sql for part in parts]
        return _Expression(_balanced(sqls, operator), parameters, indexed=indexed)
    # SQLite may evaluate the sides of AND in any order; the branches of CASE it takes as they stand.
    if operator == "OR":
        branches = " ".join(f"WHEN {part.sql} THEN 1" for part in parts)
        return _Expression(f"(CASE {branches} ELSE 0 END)", parameters, raises=True)
    branches = " ".join(f"WHEN NOT coalesce({part.sql}, 0) THEN 0" for part in parts)
    ordered = _Expression(f"(CASE {branches} ELSE 1 END)", parameters, raises=True)
    if not parts[0].indexed or parts[0].raises:
        return ordered
    # What decides first may be looked up in an index before.
    return replace(
        ordered, sql=f"({parts[0].sql} AND {ordered.sql})", parameters=(*parts[0].parameters, *parameters), indexed=True
    )


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
