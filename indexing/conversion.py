"""One file through the converting stage of a pipeline, with the reason when nothing comes out."""

import hashlib
import logging
import mimetypes
import re
import warnings as python_warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from haystack.dataclasses import ByteStream, Document

from lodestone.components.stores import SourceText
from lodestone.indexing.sources import SourceFile
from lodestone.pipelines.stages import IndexingStages

MAX_FILE_BYTES = 64 * 1024 * 1024

# Not in every system's table.
mimetypes.add_type("text/plain", ".log")
mimetypes.add_type("text/markdown", ".markdown")


class UnreadableError(Exception):
    """The file's bytes cannot be had; what the index holds of it stays."""


class UnsupportedError(Exception):
    """No component of the pipeline takes files of this type."""


class ConversionError(Exception):
    """The file was read and gave no passages."""


@dataclass
class Converted:
    """What became of a file.

    :param texts: Its documents' texts.
    :param passages: Its passages, not embedded.
    """

    texts: list[SourceText]
    passages: list[Document]


def read_bytes(source: SourceFile) -> tuple[bytes, str]:
    """A file's bytes and their SHA-256 (hex).

    :param source: The file.
    :raises UnreadableError: If it cannot be read, or is larger than 64 MiB.
    """
    if source.size > MAX_FILE_BYTES:
        size, limit = source.size // 2**20, MAX_FILE_BYTES // 2**20
        raise UnreadableError(f"too large: {size} MiB, the limit is {limit} MiB; split it")
    try:
        data = source.file.read_bytes()
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror or error}") from error
    return data, hashlib.sha256(data).hexdigest()


def convert(source: SourceFile, data: bytes, stages: IndexingStages) -> Converted:
    """Convert and split one file.

    :param source: The file.
    :param data: Its bytes.
    :param stages: The pipeline.
    :returns: Its texts and passages, at least one passage.
    :raises UnsupportedError: If the pipeline has no converter for its type.
    :raises ConversionError: If there is nothing to index in it; the message says why.
    """
    mime_type, compression = mimetypes.guess_type(source.path)
    if compression is not None:
        raise UnsupportedError(f"compressed with {compression}; unpack it first")
    meta = {"root": source.root, "source": source.path, "file_path": source.path.rsplit("/", 1)[-1]}
    if encoding := _encoding(data, mime_type):
        meta["encoding"] = encoding
    stream = ByteStream(data=data, meta=meta, mime_type=mime_type)
    with _collected_warnings() as warnings:
        try:
            passages, documents, taken = stages.run_converters(stream)
        except Exception as error:  # a broken file must not stop the job, whatever its converter raises
            cause = error.__cause__ if error.__cause__ is not None else error
            raise ConversionError(_reason(f"{type(cause).__name__}: {cause}")) from error
    if not taken:
        kind = f"of type {mime_type}" if mime_type else "without a known type"
        raise UnsupportedError(f"the pipeline has no converter for a file {kind}")
    if not passages:
        raise ConversionError(_why_empty(source, data, warnings))
    texts = [SourceText(document.id, document.content or "", _true_meta(document)) for document in documents]
    return Converted(texts, [replace(passage, meta=_true_meta(passage)) for passage in passages])


def _true_meta(document: Document) -> dict[str, Any]:
    """Metadata without the properties, the time of reading among them, that python-docx makes up for files without."""
    properties = document.meta.get("docx")
    made_up = isinstance(properties, dict) and properties.get("last_modified_by") == "python-docx"
    return {name: value for name, value in document.meta.items() if not (made_up and name == "docx")}


def _encoding(data: bytes, mime_type: str | None) -> str | None:
    """The encoding of a text file that is not UTF-8, else None."""
    textual = mime_type is not None and (mime_type.startswith("text/") or mime_type.startswith("application/json"))
    if not textual or mime_type == "text/html":
        return None
    try:
        data.decode("utf-8")
        return None
    except UnicodeDecodeError:
        from charset_normalizer import from_bytes

        best = from_bytes(data).best()
        return best.encoding if best is not None else None


def _why_empty(source: SourceFile, data: bytes, warnings: list[str]) -> str:
    if not data:
        return "the file is empty"
    causes = [cause for cause in map(_cause, warnings) if cause]
    if causes:
        return _reason(causes[-1])
    if source.path.lower().endswith(".pdf"):
        return "no text in this PDF: if it is scanned, run OCR over it first"
    return "no text in this file"


def _cause(warning: str) -> str:
    """What a converter's warning says behind "Could not read ..., skipping."; "" if that is nothing."""
    parts = re.split(r"skipping(?: it)?\.\s*(?:Error(?: message)?:)?", warning, flags=re.IGNORECASE)
    if len(parts) > 1:
        return parts[-1].strip()
    return "" if "ByteStream(" in warning else warning


def _reason(message: str) -> str:
    """One readable line out of a library's message."""
    lowered = message.lower()
    if "not been decrypted" in lowered or "filenotdecrypted" in lowered or "password" in lowered:
        return "encrypted: save it without a password first"
    line = " ".join(message.split())
    return line if len(line) <= 200 else f"{line[:197]}..."


@contextmanager
def _collected_warnings() -> Iterator[list[str]]:
    """Converters report what they skip to the log only: keep their messages, and keep them off the terminal."""
    messages: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    collector = Collector(logging.WARNING)
    loggers = [logging.getLogger(name) for name in ("haystack", "pypdf", "trafilatura", "lodestone.components")]
    before = [(logger.propagate, logger.level) for logger in loggers]
    for logger in loggers:
        logger.addHandler(collector)
        logger.propagate = False
        # Not what the root logger lets through: the command line silences libraries there.
        logger.setLevel(logging.WARNING)
    try:
        with python_warnings.catch_warnings():
            python_warnings.simplefilter("ignore")
            yield messages
    finally:
        for logger, (propagate, level) in zip(loggers, before, strict=True):
            logger.removeHandler(collector)
            logger.propagate = propagate
            logger.setLevel(level)
