"""Why a document gave no text, in words for the person whose document it is."""

import re
from pathlib import PurePosixPath

from lodestone.indexing.showing import printable

ENCRYPTED = "encrypted: save it without a password first"
SCANNED = "no text in this PDF: if it is scanned, run OCR over it first"

_OFFICE = {".docx", ".pptx", ".xlsx"}
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_LONGEST = 200


def why_empty(path: str, data: bytes, warnings: list[str]) -> str:
    """Why a converter gave nothing.

    :param path: The document's name.
    :param data: Its bytes.
    :param warnings: What was logged meanwhile.
    """
    if not data:
        return "the file is empty"
    causes = [cause for cause in map(_cause, warnings) if cause]
    # What trafilatura says of any page that it finds no text in.
    if causes and not causes[-1].startswith("discarding data"):
        return why_failed(path, data, causes[-1])
    return SCANNED if path.lower().endswith(".pdf") else "no text in this file"


def why_failed(path: str, data: bytes, message: str) -> str:
    """Why a converter failed.

    :param path: The document's name.
    :param data: Its bytes.
    :param message: What it, or a library below it, said.
    """
    lowered, suffix = message.lower(), PurePosixPath(path).suffix.lower()
    if "not been decrypted" in lowered or "filenotdecrypted" in lowered or "password" in lowered:
        return ENCRYPTED
    if suffix in _OFFICE and not data.startswith(b"PK"):
        if "EncryptedPackage".encode("utf-16-le") in data:
            return ENCRYPTED
        if data.startswith(_OLE):
            return f"not a {suffix} file but one of an older kind of Office: save it as {suffix} first"
        return f"not a {suffix} file, whatever its name says"
    line = printable(" ".join(message.split()))
    line = line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."
    if "surrogates not allowed" in lowered:
        return "its text holds characters that do not exist; save it anew first"
    if suffix == ".pdf" and not data.lstrip().startswith(b"%PDF"):
        return f"not a PDF, whatever its name says ({line})"
    if suffix in {".pdf", *_OFFICE}:
        return f"damaged, or of a kind that its converter cannot read ({line})"
    return line


def _cause(warning: str) -> str:
    """What a converter's warning says behind "Could not read ..., skipping."; "" if that is nothing."""
    parts = re.split(r"skipping(?: it)?\.\s*(?:Error(?: message)?:)?", warning, flags=re.IGNORECASE)
    if len(parts) > 1:
        return parts[-1].strip()
    return "" if "ByteStream(" in warning else warning
