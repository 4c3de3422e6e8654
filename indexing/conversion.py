"""One file through the converting stage of a pipeline, with the reason when nothing comes out."""

import hashlib
import logging
import mimetypes
import sys
import time
import warnings as python_warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from haystack.dataclasses import ByteStream, Document

from lodestone.components.stores import SourceText
from lodestone.indexing.contents import TooLargeError
from lodestone.indexing.identity import identity_of
from lodestone.indexing.limits import Limits
from lodestone.indexing.metadata import MetadataRules
from lodestone.indexing.reasons import why_empty, why_failed
from lodestone.indexing.sources import SourceFile
from lodestone.pipelines.stages import ConvertingStage

# Not in every system's table.
mimetypes.add_type("text/plain", ".log")
mimetypes.add_type("text/markdown", ".markdown")

State = Literal["converted", "same", "duplicate", "failed", "unreadable", "unsupported"]


@dataclass(frozen=True)
class Task:
    """A file to convert.

    :param source: The file.
    :param known_hash: Hash of the bytes that the index holds as they are, if any: a file that still has it is left.
    """

    source: SourceFile
    known_hash: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Root and path."""
        return self.source.root, self.source.path


@dataclass(frozen=True)
class Rules:
    """How documents are converted, besides by the pipeline.

    :param limits: What one may cost.
    :param metadata: What metadata they get.
    """

    limits: Limits = field(default_factory=Limits)
    metadata: MetadataRules = field(default_factory=MetadataRules)


@dataclass
class Conversion:
    """What became of a file.

    :param state: "converted"; "same" if its bytes have the hash that is known; "duplicate" if another file with its
        identity has the passages; "failed" if there is nothing to index in it; "unreadable" if its bytes cannot be had,
        and what the index holds of it stays; "unsupported" if no component of the pipeline takes files of its type.
    :param reason: Why it was not converted, for people.
    :param content_hash: SHA-256 of its bytes, hexadecimal; "" if they were not all read.
    :param identity: See `identity_of`; "" if it is not known.
    :param replaces: Root and path of the document that has had the passages until now, and is a duplicate of it from
        now on; None if there is none.
    :param texts: Its documents' texts.
    :param passages: Its passages, not embedded.
    :param seconds: Time that it took.
    """

    state: State
    reason: str = ""
    content_hash: str = ""
    identity: str = ""
    replaces: tuple[str, str] | None = None
    texts: list[SourceText] = field(default_factory=list)
    passages: list[Document] = field(default_factory=list)
    seconds: float = 0.0


class _UnreadableError(Exception):
    """The bytes of a document cannot be had; the message says why."""


class OutOfMemoryError(Exception):
    """Converting a file took more memory than there is for it."""


def convert(task: Task, stage: ConvertingStage, rules: Rules) -> Conversion:
    """Read, convert and split one file.

    :param task: The file.
    :param stage: The pipeline.
    :param rules: What it may cost (time and memory are for the process to watch), and its metadata.
    :returns: What became of it; never an error of a converter.
    :raises OutOfMemoryError: If memory did not suffice.
    """
    started = time.monotonic()
    try:
        conversion = _converted(task, stage, rules)
    except MemoryError as error:
        raise OutOfMemoryError from error
    conversion.seconds = time.monotonic() - started
    return conversion


def _converted(task: Task, stage: ConvertingStage, rules: Rules) -> Conversion:
    source, limits = task.source, rules.limits
    try:
        data = _bytes(source, limits)
    except _UnreadableError as error:
        return Conversion("unreadable", str(error))
    content_hash = source.version if source.version is not None else hashlib.sha256(data).hexdigest()
    mime_type, compression = (source.mime_type, None) if source.mime_type else mimetypes.guess_type(source.path)
    ruled, own = rules.metadata.fields(source.root, source.path, data), source.meta or {}
    identity = identity_of(source.path, data, mime_type, ruled, own)
    if content_hash == task.known_hash:
        return Conversion("same", content_hash=content_hash, identity=identity)
    if compression is not None:
        return Conversion("unsupported", f"compressed with {compression}; unpack it first")
    given = {**ruled, **own}
    meta = {"file_path": source.path.rsplit("/", 1)[-1], **given, "root": source.root, "source": source.path}
    if encoding := _encoding(data, mime_type):
        meta["encoding"] = encoding
    stream = ByteStream(data=data, meta=meta, mime_type=mime_type)
    with _collected_warnings() as warnings:
        try:
            passages, documents, taken = stage.run(stream)
        except Exception as error:  # a broken file must not stop the job, whatever its converter raises
            cause = error.__cause__ if error.__cause__ is not None else error
            if isinstance(cause, MemoryError):
                raise cause from error
            return Conversion("failed", why_failed(source.path, data, f"{type(cause).__name__}: {cause}"), content_hash)
    if not taken:
        kind = f"of type {mime_type}" if mime_type else "without a known type"
        return Conversion("unsupported", f"the pipeline has no converter for a file {kind}")
    if not passages:
        return Conversion("failed", why_empty(source.path, data, warnings), content_hash)
    if limits.pages is not None and (pages := _pages(documents)) > limits.pages:
        return Conversion("failed", f"it has {pages:,} pages, the limit is {limits.pages:,}", content_hash)
    texts = [SourceText(document.id, document.content or "", _true_meta(document)) for document in documents]
    passages = [replace(passage, meta=_true_meta(passage)) for passage in passages]
    return Conversion("converted", "", content_hash, identity, texts=texts, passages=passages)


def _bytes(source: SourceFile, limits: Limits) -> bytes:
    if source.problem is not None:
        raise _UnreadableError(source.problem)
    most = int(min(limits.megabytes * 2**20, sys.maxsize))
    try:
        if source.size > most:
            raise TooLargeError
        return source.content.read(most)
    except TooLargeError:
        size = f"{source.size / 2**20:,.0f} MiB, " if source.size > most else ""
        limit = f"the limit is {limits.megabytes:,.0f} MiB"
        raise _UnreadableError(f"too large: {size}{limit}; split it") from None
    except OSError as error:
        raise _UnreadableError(f"cannot be read: {error.strerror or error}") from error
    except MemoryError:
        raise
    except Exception as error:  # each file system has errors of its own
        raise _UnreadableError(f"cannot be read: {type(error).__name__}: {error}") from error


def _pages(documents: list[Document]) -> int:
    """Pages of a file's longest document: converters put a form feed between pages."""
    return max(((document.content or "").count("\f") + 1 for document in documents), default=0)


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


@contextmanager
def _collected_warnings() -> Iterator[list[str]]:
    """Converters report what they skip to the log only: keep their messages, and keep them off the terminal.

    :raises MemoryError: If that is what a converter reported.
    """
    messages: list[str] = []
    exhausted: list[MemoryError] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())
            # Haystack's loggers keep what a message is made of, the exception among it, as fields of the record.
            exhausted.extend(value for value in vars(record).values() if isinstance(value, MemoryError))

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
    if exhausted:
        raise exhausted[0]
