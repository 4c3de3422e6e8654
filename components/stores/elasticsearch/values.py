"""How metadata is indexed so that filters mean what they mean in Haystack.

Elasticsearch gives a field one type, that of the first value it sees, and refuses documents with another. So each value
is indexed under the name of its kind, `keyword.source`, `number.page_number`, `date.day`, and two documents never
conflict. `meta` itself is stored as it was given, and not indexed.

- `keyword`: strings
- `number`: numbers as doubles; True and False as 1 and 0, to which they are equal
- `date`: strings that are ISO 8601 dates, to the millisecond; one without a time zone is taken to be in UTC
- `other`: the JSON of lists and dictionaries, and of the values that a double does not tell apart: True, 1.0
- `fields`: the names of all fields that are not None
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from lodestone.components.stores.dates import iso_date
from lodestone.components.stores.encoding import MARK

KINDS = ("keyword", "number", "date", "other")
HASHED = "sha256:"
"""What the terms of long strings begin with."""
_LONGEST = 1000  # characters of a term; longer ones are indexed by their hash
_UNSAFE = re.compile(r"[^\w.\-]")
_MAX_DEPTH = 20


def indexed_values(meta: Mapping[str, Any]) -> dict[str, Any]:
    """The indexed form of metadata.

    :param meta: JSON, as `encoding.encode_meta` makes it.
    :returns: `keyword`, `number`, `date` and `other`, as far as there are such values, and `fields`.
    """
    indexed: dict[str, Any] = {}
    names = []
    for path, value in _leaves(meta, "", 0):
        names.append(term_of(path))
        for kind, term in terms_of(value).items():
            indexed.setdefault(kind, {})[field_name(path)] = term
    if names:
        indexed["fields"] = names
    return indexed


def terms_of(value: Any) -> dict[str, Any]:
    """A value by the kinds that it is indexed as.

    :param value: A JSON value, not None.
    """
    if isinstance(value, bool):
        return {"number": int(value), "other": json.dumps(value)}
    if isinstance(value, int | float):
        if not math.isfinite(value):
            return {}
        whole_float = isinstance(value, float) and value.is_integer()
        exact = abs(value) <= 2**53 and not whole_float
        number: dict[str, Any] = {"number": float(value)} if abs(value) < 1e308 else {}
        return number if exact else number | {"other": json.dumps(value)}
    if isinstance(value, str):
        date = iso_date(value)
        dated = {"date": date_term(date)} if date is not None else {}
        return {"keyword": term_of(value), **dated}
    if isinstance(value, dict | list):
        return {"other": json_term(value)}
    return {}


def json_term(value: Any) -> str:
    """A list or dictionary as a term: equal ones give the same."""
    return term_of(json.dumps(_canonical(value), sort_keys=True, ensure_ascii=False, default=str))


def term_of(text: str) -> str:
    """A string as a term, a long one by its hash."""
    if len(text) <= _LONGEST:
        return text
    return HASHED + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def date_term(date: datetime) -> str:
    """A date as Elasticsearch reads it: in UTC, to the millisecond."""
    moment = date.replace(tzinfo=UTC) if date.tzinfo is None else date
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:
        moment = moment.replace(tzinfo=UTC)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def field_name(path: str) -> str:
    """The name of a metadata field as Elasticsearch accepts it.

    :param path: Keys with dots between, as in a filter, without `meta.`.
    """
    parts = [_UNSAFE.sub(lambda found: f"%{ord(found[0]):X}", part) or "%" for part in path.split(".")]
    return term_of(".".join(parts)).replace(HASHED, "%sha256")


def _leaves(value: Mapping[str, Any], before: str, depth: int) -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        path = f"{before}{key}"
        if item is None:
            continue
        yield path, item
        if isinstance(item, dict) and MARK not in item and depth < _MAX_DEPTH:
            yield from _leaves(item, f"{path}.", depth + 1)


def _canonical(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {str(key): _canonical(item) for key, item in value.items()}
    return [_canonical(item) for item in value] if isinstance(value, list | tuple) else value
