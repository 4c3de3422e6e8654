"""Metadata as JSON that both Python and SQLite read exactly.

Some values have no exact form in the JSON that SQLite reads: NaN and the infinities, integers beyond 64 bits, and
strings with a NUL character. They are written as `{"$lodestone": [kind, value]}`; an object of the user's that happens
to look so is wrapped as kind "dict".
"""

import json
import math
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import PurePath
from typing import Any

import numpy as np

from lodestone.components.errors import ConfigurationError

MARK = "$lodestone"
INT64 = range(-(2**63), 2**63)
_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def clean_text(text: str) -> str:
    """Replace lone surrogates, which UTF-8 cannot hold, by U+FFFD: one character for one, so offsets stay true."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "".join("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in text)
    return text


def encode_meta(meta: Mapping[str, Any]) -> str:
    """Write metadata as JSON.

    Dates become ISO 8601 strings, paths strings, tuples lists, NumPy scalars and arrays Python's, and keys strings.

    :param meta: Metadata of a document.
    :returns: JSON, keys in the order given.
    :raises ConfigurationError: If a value has no JSON form.
    """
    try:
        encoded = meta if _is_plain(meta) else _encode_object(meta)
    except RecursionError:
        raise ConfigurationError("the metadata is nested too deeply, or contains itself") from None
    return clean_text(_to_json(encoded))


def decode_meta(text: str) -> dict[str, Any]:
    """Read what `encode_meta` wrote.

    :param text: JSON.
    :returns: The metadata.
    """
    value: dict[str, Any] = decode_value(text)
    return value


def decode_value(text: str) -> Any:
    """Read one value out of what `encode_meta` wrote.

    :param text: JSON.
    :returns: The value.
    """
    return json.loads(text, object_hook=_unwrap if MARK in text else None)


def _is_plain(meta: Mapping[Any, Any]) -> bool:
    """Whether metadata is JSON as it stands, which nearly all is."""
    for key, value in meta.items():
        kind = type(value)
        if kind is str:
            plain = "\0" not in value
        elif kind is int:
            plain = value in INT64
        else:
            plain = kind is bool or value is None or (kind is list and not value)
        if not plain or type(key) is not str or key == MARK:
            return False
    return type(meta) is dict


def _encode_object(value: Mapping[Any, Any]) -> dict[str, Any]:
    encoded = {str(key): _encode(item) for key, item in value.items()}
    if encoded.keys() == {MARK}:
        return {MARK: ["dict", [encoded[MARK]]]}
    return encoded


def _encode(value: Any) -> Any:
    if type(value) is str and "\0" not in value:  # nearly all values
        return value
    if isinstance(value, str):
        text = str(value)
        return {MARK: ["str", text]} if "\0" in text else text
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if value in INT64 else {MARK: ["int", str(int(value))]}
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {MARK: ["float", str(float(value))]}
    if isinstance(value, Mapping):
        return _encode_object(value)
    if isinstance(value, list | tuple):
        return [_encode(item) for item in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, np.generic | np.ndarray):
        return _encode(value.tolist())
    if isinstance(value, PurePath):
        return str(value)
    raise ConfigurationError(
        f"metadata must be JSON (strings, numbers, booleans, None, lists, dictionaries) or dates, "
        f"got {type(value).__name__}: {value!r:.80}"
    )


def _unwrap(value: dict[str, Any]) -> Any:
    if value.keys() != {MARK}:
        return value
    kind, item = value[MARK]
    if kind == "dict":
        return {MARK: item[0]}
    return {"str": str, "int": int, "float": float}[kind](item)
