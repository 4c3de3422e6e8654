"""JSON and JSON lines: every record a document."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from haystack import Document, component
from haystack.components.converters.utils import get_bytestream_from_source, normalize_metadata
from haystack.dataclasses import ByteStream

from lodestone.components.errors import ConfigurationError

logger = logging.getLogger(__name__)

_CONTENT_KEYS = ("content", "text", "body")
# What the splitter and the retrievers write into a passage's metadata.
_RESERVED = {
    "headings",
    "page_number",
    "retrieval",
    "root",
    "source",
    "source_id",
    "split_id",
    "split_idx_start",
}


@component
class JSONToDocument:
    """Converts .json and .jsonl files; an object, each element of an array and each line is one document.

    A record's text is the first of the content keys that it has; its other fields become metadata, under
    `record_NAME` where the name is one that passages use themselves, such as `source`. A record
    without any of them becomes its fields, one `name: value` a line, so that nothing in it is lost.
    """

    def __init__(self, content_keys: list[str] | None = None, encoding: str = "utf-8-sig") -> None:
        """Set the converter up.

        :param content_keys: Names of the field that holds the text, tried in order; None for content, text, body.
        :param encoding: Encoding of the files, unless a `ByteStream` names its own in its metadata.
        :raises ConfigurationError: If the list is empty.
        """
        if content_keys is not None and not content_keys:
            raise ConfigurationError("content_keys must name at least one field, got []")
        self.content_keys = content_keys
        self.encoding = encoding

    @component.output_types(documents=list[Document])
    def run(
        self, sources: list[str | Path | ByteStream], meta: dict[str, Any] | list[dict[str, Any]] | None = None
    ) -> dict[str, list[Document]]:
        """Convert files.

        :param sources: Paths or byte streams; one that cannot be read or parsed is skipped with a warning.
        :param meta: Metadata for all documents, or a list with one entry a source.
        :returns: `documents`: the records in order, numbered from 1 in `meta["row"]`.
        """
        documents: list[Document] = []
        for source, given in zip(sources, normalize_metadata(meta, sources_count=len(sources)), strict=True):
            try:
                stream = get_bytestream_from_source(source)
                text = stream.data.decode(stream.meta.get("encoding", self.encoding))
                records = list(_records(text))
            except (OSError, ValueError, RecursionError) as error:
                logger.warning("Could not read %s as JSON. Skipping it. Error: %s", _name(source), error)
                continue
            for row, record in enumerate(records, start=1):
                documents.append(self._document(record, {**stream.meta, **given, "row": row}))
        return {"documents": documents}

    def _document(self, record: Any, meta: dict[str, Any]) -> Document:
        if not isinstance(record, dict):
            return Document(content=_text(record), meta=meta)
        keys = _CONTENT_KEYS if self.content_keys is None else self.content_keys
        key = next((key for key in keys if isinstance(record.get(key), str)), None)
        if key is None:
            return Document(content="\n".join(f"{name}: {_text(value)}" for name, value in record.items()), meta=meta)
        taken = meta.keys() | _RESERVED
        fields = {f"record_{name}" if name in taken else name: record[name] for name in record if name != key}
        return Document(content=record[key], meta={**fields, **meta})


def _records(text: str) -> Iterator[Any]:
    try:
        whole = json.loads(text)
    except json.JSONDecodeError as error:
        lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
        if len(lines) < 2:
            raise
        for number, line in lines:
            try:
                yield json.loads(line)
            except json.JSONDecodeError as bad_line:
                if number == lines[0][0]:
                    raise error from bad_line
                raise ValueError(f"line {number}: {bad_line}") from bad_line
        return
    yield from whole if isinstance(whole, list) else [whole]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _name(source: str | Path | ByteStream) -> str:
    return str(source.meta.get("file_path", "data")) if isinstance(source, ByteStream) else str(source)
