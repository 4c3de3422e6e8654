"""The component that cuts documents into passages."""

import dataclasses
import hashlib
import json
import logging
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict

from lodestone.components.errors import ConfigurationError
from lodestone.components.models.resolve import DEFAULT_EMBEDDER, DEFAULT_READER
from lodestone.components.splitters.budget import SMALLEST_PASSAGE, load_budget
from lodestone.components.splitters.cutter import PassageCutter, Piece
from lodestone.components.splitters.headings import text_kind

_logger = logging.getLogger(__name__)

# What tells apart the documents that one file gives: a row of a table or a JSONL file, a sheet.
_ORDINALS = ("sheet", "row", "record", "line", "index")
_PAGED_SUFFIXES = (".pdf", ".pptx")
# Raised when the same text would be cut differently, so that new passages do not pass for the old ones.
_VERSION = 1


@component
class PassageSplitter:
    """Cuts documents at sentence boundaries into passages that fit both the embedder and the reader.

    A passage's content is a part of its document's text, character by character. With the headings above it, it fits
    the embedder's longest text; alone, it fits the reader's window beside a question. Headings are kept in the
    metadata, not in the content.

    ### Usage example

    ```python
    from haystack import Document
    from lodestone import PassageSplitter

    document = Document(content="## Leave\\n\\nYou may carry over 240 hours.", meta={"source": "leave.md"})
    passage = PassageSplitter().run([document])["documents"][0]
    print(passage.meta["headings"], passage.content)  # ['Leave'] You may carry over 240 hours.
    ```
    """

    def __init__(
        self,
        embedder: str = DEFAULT_EMBEDDER,
        reader: str = DEFAULT_READER,
        max_tokens: int | None = None,
        overlap_tokens: int = 32,
        max_query_tokens: int = 64,
        reader_window: int = 384,
        language: str = "en",
    ) -> None:
        """Create a splitter; the tokenizers are loaded when it warms up.

        :param embedder: Name or folder of the embedding model, which passages with their headings must fit.
        :param reader: Name or folder of the reader model, whose window a passage must fit beside a question.
        :param max_tokens: The most tokens of a passage's content under either tokenizer, at least 16. None: the largest
            that fits both.
        :param overlap_tokens: How many tokens a passage may repeat from the end of the one before it in its section;
            whole sentences, rows or pieces of overlong sentences only. 0 for none.
        :param max_query_tokens: The reader's cap on a question, in its tokens.
        :param reader_window: The reader's window in tokens (`max_seq_length`): question, passage, special tokens.
        :param language: ISO 639-1 code of the documents, for abbreviations at the ends of sentences.
        :raises ConfigurationError: A number is out of its range.
        """
        for name, value, lowest in (
            ("overlap_tokens", overlap_tokens, 0),
            ("max_query_tokens", max_query_tokens, 1),
            ("reader_window", reader_window, 1),
            ("max_tokens", max_tokens, SMALLEST_PASSAGE),
        ):
            if value is None and name == "max_tokens":
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
                raise ConfigurationError(f"{name} must be a whole number of at least {lowest}, got {value!r}")
        if not isinstance(language, str) or not language:
            raise ConfigurationError(f"language must be an ISO 639-1 code such as 'en', got {language!r}")
        self.embedder = embedder
        self.reader = reader
        self.max_tokens = max_tokens
        self.overlap_tokens = overlap_tokens
        self.max_query_tokens = max_query_tokens
        self.reader_window = reader_window
        self.language = language
        self._lock = threading.Lock()
        self._cutter: PassageCutter | None = None
        self._settings: tuple[Any, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Describe the component for YAML.

        :returns: Its type and the parameters it was created with.
        """
        return default_to_dict(
            self,
            embedder=self.embedder,
            reader=self.reader,
            max_tokens=self.max_tokens,
            overlap_tokens=self.overlap_tokens,
            max_query_tokens=self.max_query_tokens,
            reader_window=self.reader_window,
            language=self.language,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "PassageSplitter":
        """Create the component that `to_dict` described.

        :param data: What `to_dict` returned.
        :returns: The component.
        """
        splitter: PassageSplitter = default_from_dict(cls, data)
        return splitter

    def warm_up(self) -> None:
        """Load both tokenizers.

        :raises ConfigurationError: A model is unknown, or the numbers leave no room for passages.
        """
        with self._lock:
            if self._cutter is not None:
                return
            budget = load_budget(self.embedder, self.reader, self.max_tokens, self.max_query_tokens, self.reader_window)
            half = budget.content_room // 2
            if self.overlap_tokens > half:
                raise ConfigurationError(
                    f"overlap_tokens must be at most {half}, half a passage, got {self.overlap_tokens}"
                )
            self._settings = (_VERSION, *budget.fingerprint, budget.content_room, self.overlap_tokens, self.language)
            self._cutter = PassageCutter(budget, self.overlap_tokens, self.language)

    @component.output_types(documents=list[Document], sources=list[Document])
    def run(self, documents: list[Document]) -> dict[str, list[Document]]:
        """Cut documents into passages.

        A document without text (content None) is left out, with a warning; one with an empty text has no passages.

        :param documents: Converted documents. `meta["root"]` and `meta["source"]` make passage ids that stay the same
            wherever the folder lies; without them a document's own id does.
        :returns: `documents`: the passages, in order, with the metadata of their document and `source_id`, `split_id`,
            `split_idx_start`, `headings` and, in documents that have pages, `page_number`; `sources`: the documents,
            with their `source_id` as id.
        """
        self.warm_up()
        if self._cutter is None:
            raise RuntimeError("warm_up did not load the tokenizers")
        seen: Counter[str] = Counter()
        passages: list[Document] = []
        sources: list[Document] = []
        for document in documents:
            text = document.content
            if text is None:
                _logger.warning(
                    "Document %s has no text: it gives no passages", document.meta.get("source", document.id)
                )
                continue
            source_id = _source_id(document, text, seen)
            sources.append(dataclasses.replace(document, id=source_id))
            name = document.meta.get("source") or document.meta.get("file_path")
            pieces = self._cutter.cut(text, text_kind(str(name) if name else None), _outer_headings(document))
            passages.extend(self._passages(document, text, source_id, pieces))
        return {"documents": passages, "sources": sources}

    def _passages(self, document: Document, text: str, source_id: str, pieces: Sequence[Piece]) -> list[Document]:
        """The passages of one document."""
        paged = _has_pages(document, text)
        base = document.meta.get("page_number")
        page = base if isinstance(base, int) and not isinstance(base, bool) else 1
        passages: list[Document] = []
        before = 0
        for split_id, piece in enumerate(pieces):
            page += text.count("\f", before, piece.start) if piece.start >= before else 0
            page -= text.count("\f", piece.start, before) if piece.start < before else 0
            before = piece.start
            content = text[piece.start : piece.end]
            meta = {
                **document.meta,
                "source_id": source_id,
                "split_id": split_id,
                "split_idx_start": piece.start,
                "headings": list(piece.headings),
            }
            if paged or base is not None:
                meta["page_number"] = page
            key = (document.meta.get("root"), document.meta.get("source"), source_id, split_id, piece.start, content)
            passages.append(Document(id=_digest((*key, *self._settings)), content=content, meta=meta))
        return passages


def _source_id(document: Document, text: str, seen: Counter[str]) -> str:
    """The id of a whole document: by its place and text, and by how many equal ones came before it in this call."""
    meta = document.meta
    place: tuple[Any, ...]
    if meta.get("source") is not None:
        place = (meta.get("root"), meta["source"], *(meta.get(name) for name in _ORDINALS))
    else:
        place = (meta.get("root"), document.id)
    key = _digest((*place, text))
    seen[key] += 1
    return key if seen[key] == 1 else _digest((*place, text, seen[key]))


def _outer_headings(document: Document) -> list[str]:
    """Headings that a converter found for the whole document."""
    headings = document.meta.get("headings")
    return [str(heading) for heading in headings] if isinstance(headings, list | tuple) else []


def _has_pages(document: Document, text: str) -> bool:
    names = (str(document.meta.get(key) or "").lower() for key in ("source", "file_path"))
    return "\f" in text or any(name.endswith(_PAGED_SUFFIXES) for name in names)


def _digest(key: tuple[Any, ...]) -> str:
    data = json.dumps(key, ensure_ascii=False, default=str).encode("utf-8", "surrogatepass")
    return hashlib.sha256(data).hexdigest()
