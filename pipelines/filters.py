"""Filters as people type them, turned into Haystack's."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from lodestone.components.errors import ConfigurationError
from lodestone.pipelines.problem import did_you_mean

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


def explain_nothing(filters: Mapping[str, Any] | None, store: Any) -> str | None:
    """Why nothing matches a filter, if that is because of a field that no passage has.

    :param filters: A Haystack filter; None for none.
    :param store: The document store; one that cannot tell its fields explains nothing.
    :returns: One line for the user; None if all fields are known.
    """
    if filters is None or not hasattr(store, "get_metadata_fields_info"):
        return None
    known = store.get_metadata_fields_info()
    asked = sorted(_fields(filters))
    unknown = [name for name in asked if name not in known and name.split(".")[0] not in known]
    if not unknown:
        return None
    hint = did_you_mean(unknown[0], known)
    return f"no passage has the field {unknown[0]!r}; there are {', '.join(sorted(known))}.{hint}"


def _fields(filters: Mapping[str, Any]) -> set[str]:
    """Names of metadata that a filter asks for, without `meta.` in front."""
    if isinstance(conditions := filters.get("conditions"), list):
        return {name for condition in conditions if isinstance(condition, Mapping) for name in _fields(condition)}
    field = filters.get("field")
    return {field.removeprefix("meta.")} if isinstance(field, str) and field not in ("id", "content") else set()


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
