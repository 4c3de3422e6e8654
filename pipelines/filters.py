"""Filters as people type them, turned into Haystack's."""

import json
import re
from collections.abc import Sequence
from typing import Any

from lodestone.components.errors import ConfigurationError

_OPERATORS = ("==", "!=", ">=", "<=", ">", "<", "not in", "in")
_COMPARISON = re.compile(
    r"\s*(?P<field>[\w.\-]+)\s*(?P<operator>==|!=|>=|<=|>|<|\bnot\s+in\b|\bin\b)\s*(?P<value>.*\S)\s*", re.DOTALL
)


def parse_filters(texts: Sequence[str] | None) -> dict[str, Any] | None:
    """Turn filters of the command line into one Haystack filter; all of them must match.

    Each is a comparison such as `source == leave.md`, `page_number >= 3`, `source in ["a.md", "b.md"]`, or a Haystack
    filter as a JSON object. Values are JSON where they can be read as such, else text. A field that is not `id`,
    `content` or begins with `meta.` is one of the metadata.

    :param texts: The filters; None or none for no filter.
    :returns: The filter, or None.
    :raises ConfigurationError: If one cannot be understood.
    """
    if not texts:
        return None
    filters = [_parse(text) for text in texts]
    return filters[0] if len(filters) == 1 else {"operator": "AND", "conditions": filters}


def _parse(text: str) -> dict[str, Any]:
    if text.lstrip().startswith("{"):
        try:
            parsed: dict[str, Any] = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigurationError(f"the filter {text!r} is not valid JSON: {error}") from error
        return parsed
    match = _COMPARISON.fullmatch(text)
    if match is None:
        raise ConfigurationError(
            f"cannot read the filter {text!r}: write FIELD OPERATOR VALUE, such as 'source == leave.md', with one of "
            f"the operators {', '.join(_OPERATORS)}, or a Haystack filter as JSON"
        )
    field, operator = match["field"], " ".join(match["operator"].split())
    value = _value(match["value"])
    if operator in ("in", "not in") and not isinstance(value, list):
        value = [_value(part.strip()) for part in match["value"].split(",")]
    if field not in ("id", "content") and not field.startswith("meta."):
        field = f"meta.{field}"
    return {"field": field, "operator": operator, "value": value}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text.strip("'") if text.startswith("'") and text.endswith("'") else text
