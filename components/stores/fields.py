"""Where in the table of passages a filter's field is found."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lodestone.components.stores.encoding import MARK, decode_meta, decode_value

# A key that stands in a JSON path, and in the JSON text, as it is.
_PLAIN_KEY = re.compile(r"[^\x00-\x1f\"\\\ud800-\udfff]+")


@dataclass(frozen=True)
class StoredField:
    """A field as SQL expressions, and as what Haystack compares.

    :param name: The field's name, for messages.
    :param raw: SQL of what `decode` takes.
    :param decode: From the raw column to the value that the document has.
    :param kind: SQL of the JSON type: NULL or 'null' for None, else 'text', 'integer', 'real', 'true', 'false',
        'array', 'object'. None if SQL cannot tell: then only `decode` can be used.
    :param value: SQL of the value itself, where it is a string or a number.
    :param clock: SQL of the value as a date, see `clock_of`; None where there is none.
    :param keys: Where it is in the metadata, from the outermost key in; empty for what is not there or is not indexed.
    """

    name: str
    raw: str
    decode: Callable[[Any], Any]
    kind: str | None = None
    value: str = "NULL"
    clock: str | None = None
    keys: tuple[str, ...] = ()


def stored_field(name: str) -> StoredField:
    """Find a field as Haystack does: `meta.a.b`, a field of `Document`, or else a key of its metadata.

    :param name: The field's name in a filter.
    :returns: How to read it.
    """
    if name in ("id", "content", "score"):
        # Without the plus SQLite would compare as the column's type says: the id "5" with the number 5, as texts.
        return StoredField(name, name, _same, f"typeof({name})", f"+{name}")
    if name in _COLUMNS:
        raw, decode = _COLUMNS[name]
        return StoredField(name, raw, decode)
    first, *rest = name.split(".")
    if rest and first != "meta":
        return StoredField(name, "NULL", _nothing, "'null'")
    return _meta_field(name, rest if rest else [name])


def meta_value(*keys: str) -> str:
    """SQL that reads a value of the metadata; also what indexes on metadata must be made of, word for word.

    :param keys: Keys from the outermost in; plain ones, without quotes, backslashes or control characters.
    """
    return f"json_extract(meta, {_path(keys)})"


def clock_of(value: str) -> str:
    """SQL that makes ISO 8601 dates comparable as texts; also what indexes on dates must be made of, word for word.

    It is "n" before the date and time of a value without a time zone, "u" before those of one in UTC
    (`n2025-02-03T00:00:00`, with `.ffffff` if that is not zero), "x" for any other value, and NULL for None. A value is
    "x" unless Python and SQLite are sure to read the same date in it.

    :param value: SQL of the value.
    """
    day = "[0-9][0-9][0-9][0-9]-[0-1][0-9]-[0-3][0-9]"
    second = f"{day}[T ][0-2][0-9]:[0-5][0-9]:[0-5][0-9]"
    fraction = "." + "[0-9]" * 6
    date, time = f"substr({value}, 1, 10)", f"substr({value}, 12, 8)"
    clock = f"{date} || 'T' || {time}"
    longer = f"{clock} || substr({value}, 20, 7)"
    return (
        f"(CASE WHEN {value} IS NULL THEN NULL WHEN {value} < '0001' THEN 'x' "
        # With a modifier SQLite carries a day that the month does not have over to the next month.
        f"WHEN {value} GLOB '{day}' AND date({value}, '+0 days') = {value} THEN 'n' || {value} || 'T00:00:00' "
        f"WHEN {value} GLOB '{second}*' AND datetime({date} || ' ' || {time}, '+0 days') = {date} || ' ' || {time} "
        f"THEN CASE substr({value}, 20) WHEN '' THEN 'n' || {clock} "
        f"WHEN 'Z' THEN 'u' || {clock} WHEN '+00:00' THEN 'u' || {clock} "
        f"ELSE CASE WHEN substr({value}, 20, 7) GLOB '{fraction}' AND substr({value}, 20, 7) <> '.000000' "
        f"THEN CASE substr({value}, 27) WHEN '' THEN 'n' || {longer} "
        f"WHEN 'Z' THEN 'u' || {longer} WHEN '+00:00' THEN 'u' || {longer} ELSE 'x' END "
        "ELSE 'x' END END ELSE 'x' END)"
    )


def _path(keys: "tuple[str, ...] | list[str]") -> str:
    path = "$" + "".join(f'."{key}"' for key in keys)
    return "'" + path.replace("'", "''") + "'"


def _meta_field(name: str, keys: list[str]) -> StoredField:
    if all(_PLAIN_KEY.fullmatch(key) and key != MARK for key in keys):
        value, kind = meta_value(*keys), f"json_type(meta, {_path(keys)})"
        return StoredField(name, f"meta -> {_path(keys)}", _value, kind, value, clock_of(value), tuple(keys))

    def decode(raw: str) -> Any:
        value: Any = decode_meta(raw)
        for key in keys:
            if not isinstance(value, dict) or key not in value:
                return None
            value = value[key]
        return value

    return StoredField(name, "meta", decode)


def _value(raw: str | None) -> Any:
    return None if raw is None else decode_value(raw)


def _same(raw: Any) -> Any:
    return raw


def _nothing(raw: Any) -> Any:
    return None


def _vector(raw: bytes | None) -> list[float] | None:
    return None if raw is None else [float(value) for value in np.frombuffer(raw, dtype=np.float32)]


_COLUMNS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "meta": ("meta", decode_meta),
    "embedding": ("(SELECT vector FROM vectors WHERE vectors.row = passages.row)", _vector),
    "blob": ("blob", _same),
    "sparse_embedding": ("extra", lambda raw: None if raw is None else json.loads(raw).get("sparse_embedding")),
}
