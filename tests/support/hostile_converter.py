"""A converter that does what a text file tells it to, as converters do with files that nobody has tested them with."""

import ctypes
import os
from pathlib import Path
from typing import Any

from haystack import Document, component, logging
from haystack.dataclasses import ByteStream

logger = logging.getLogger("haystack.hostile_converter")
_poisoned = False


@component
class HostileConverter:
    """Makes a document of each text, unless the text is one of its commands."""

    @component.output_types(documents=list[Document])
    def run(self, sources: list[str | Path | ByteStream]) -> dict[str, list[Document]]:
        """Convert texts, or misbehave."""
        documents = []
        for source in sources:
            assert isinstance(source, ByteStream)
            text = source.data.decode()
            _obey(text)
            documents.append(Document(content=text, meta={**source.meta, **_meta(text)}))
        return {"documents": [document for document in documents if document.content not in ("swallow", "nothing")]}


def _obey(text: str) -> None:
    global _poisoned
    match text:
        case "crash" | "crash again":
            ctypes.string_at(0)
        case "exit":
            os._exit(0)
        case "leave":
            raise SystemExit(3)
        case "loop":
            while True:
                pass
        case "hoard":
            bytearray(2**40)
        case "swallow":
            try:
                bytearray(2**40)
            except MemoryError as error:
                logger.warning("Could not read {source}. Skipping it. Error: {error}", source="it", error=error)
        case "poison":
            _poisoned = True
        case "fragile" if _poisoned:
            ctypes.string_at(0)


def _meta(text: str) -> dict[str, Any]:
    return {"odd": object()} if text == "odd" else {}
