"""Where in the table of passages a filter's field is found."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lodestone.components.stores.encoding import MARK, decode_meta

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
    :param text: SQL of the value as JSON text, NULL where there is none; None if SQL cannot tell.
    """

    name: str
    raw: str
    decode: Callable[[Any], Any]
    kind: str | None = None
    value: str = "NULL"
    text: str | None = None


def stored_field(name: str) -> StoredField:
    """Find a field as Haystack does: `meta.a.b`, a field of `Document`, or else a key of its metadata.

    :param name: The field's name in a filter.
    :returns: How to read it.
    """
    if name in ("id", "content", "score"):
        return StoredField(name, name, _same, f"typeof({name})", name)
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


def _path(keys: "tuple[str, ...] | list[str]") -> str:
    path = "$" + "".join(f'."{key}"' for key in keys)
    return "'" + path.replace("'", "''") + "'"


def _meta_field(name: str, keys: list[str]) -> StoredField:
    def decode(raw: str) -> Any:
        value: Any = decode_meta(raw)
        for key in keys:
            if not isinstance(value, dict) or key not in value:
                return None
            value = value[key]
        return value

    if not all(_PLAIN_KEY.fullmatch(key) and key != MARK for key in keys):
        return StoredField(name, "meta", decode)
    kind, text = f"json_type(meta, {_path(keys)})", f"meta -> {_path(keys)}"
    return StoredField(name, "meta", decode, kind, meta_value(*keys), text)


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
