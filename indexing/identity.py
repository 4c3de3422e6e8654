"""What two documents have in common that give the same passages but for their paths."""

import hashlib
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

# What a row has for the place where it stands, as a file has its path.
_OF_THE_PLACE = {"file_path", "row"}


def identity_of(path: str, data: bytes, mime_type: str | None, ruled: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """The identity of a document: a hash of what decides its passages, besides the pipeline and its path.

    Copies with different metadata are different documents, so that filters lose nothing.

    :param path: Its path, for the type of a document that has no other.
    :param data: Its bytes.
    :param mime_type: Its type, as it is converted; None if nobody knows.
    :param ruled: The metadata that it gets by rule.
    :param own: The metadata that it has by itself, as rows of tables do.
    :returns: 32 hexadecimal digits.
    """
    kind = PurePosixPath(path).suffix.lower() if mime_type is None else mime_type
    meta = {**ruled, **{name: value for name, value in own.items() if name not in _OF_THE_PLACE}}
    decisive = repr((hashlib.sha256(data).hexdigest(), kind, sorted(meta.items(), key=lambda entry: entry[0])))
    return hashlib.sha256(decisive.encode("utf-8", "surrogatepass")).hexdigest()[:32]
