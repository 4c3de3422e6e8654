"""Markdown as a reader of the page would see it, with its headings still marked as headings."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

from haystack import Document, component

if TYPE_CHECKING:
    from markdown_it.token import Token

_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(?P<yaml>.*?\r?\n)?---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
# Site generators put template tags into link targets, where their blanks and quotes stop CommonMark seeing a link.
_TEMPLATE_TARGET = re.compile(r"\]\([^()\n]*\{[{%][^()\n]*\)")
_BLANK_LINES = re.compile(r"\n{3,}")


@component
class PlainMarkdown:
    """Turns documents of Markdown into plain text: no emphasis, links or HTML tags, so that quotes read as written.

    Headings stay as `## text` lines, for the splitter to find; code stays between its fences; table rows become lines
    with ` | ` between cells, list items lines with their bullet or number. A title in the front matter becomes the
    first heading unless the text has one of the first level.

    Runs behind any converter that gives Markdown: `TextFileToDocument` for .md files, or `HTMLToDocument` with
    `extraction_kwargs={"output_format": "markdown"}`.
    """

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, list[Document]]:
        """Render documents.

        :param documents: Documents whose content is Markdown; content None is passed on.
        :returns: `documents`: the same in order with plain content, and `meta["title"]` where front matter has one.
        """
        return {"documents": [_rendered(document) for document in documents]}


def _rendered(document: Document) -> Document:
    if document.content is None:
        return document
    content, title = _without_front_matter(document.content)
    text = render(content)
    meta = dict(document.meta)
    if title:
        meta["title"] = title
        if not re.search(r"^# ", text, re.MULTILINE):
            text = f"# {title}\n\n{text}"
    return replace(document, id="", content=text, meta=meta)


def _without_front_matter(text: str) -> tuple[str, str]:
    import yaml

    match = _FRONT_MATTER.match(text)
    if match is None:
        return text, ""
    try:
        front = yaml.safe_load(match["yaml"] or "")
    except yaml.YAMLError:
        return text, ""
    title = front.get("title") if isinstance(front, dict) else None
    return text[match.end() :], " ".join(str(title).split()) if title is not None else ""


def render(markdown: str) -> str:
    """Plain text of Markdown: see `PlainMarkdown`.

    :param markdown: CommonMark with tables.
    :returns: The text; blocks are separated by blank lines.
    """
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    renderer = _Renderer()
    for token in parser.parse(_TEMPLATE_TARGET.sub("](#)", markdown)):
        renderer.add(token)
    return _BLANK_LINES.sub("\n\n", "".join(renderer.parts)).strip("\n")


class _Renderer:
    """Writes tokens one after the other; knows only in which lists it is."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._lists: list[int | None] = []

    def add(self, token: Token) -> None:
        handler = getattr(self, f"_{token.type}", None)
        if handler is not None:
            handler(token)

    def _heading_open(self, token: Token) -> None:
        self.parts.append(f"\n\n{'#' * int(token.tag[1:])} ")

    def _heading_close(self, token: Token) -> None:
        self.parts.append("\n\n")

    def _paragraph_close(self, token: Token) -> None:
        self.parts.append("\n" if token.hidden else "\n\n")

    def _inline(self, token: Token) -> None:
        self.parts.append("".join(_inline_text(child) for child in token.children or ()))

    def _bullet_list_open(self, token: Token) -> None:
        self._open_list(None)

    def _ordered_list_open(self, token: Token) -> None:
        self._open_list(int(token.attrs.get("start", 1)))

    def _open_list(self, number: int | None) -> None:
        if self.parts and not self.parts[-1].endswith("\n"):
            self.parts.append("\n")
        self._lists.append(number)

    def _bullet_list_close(self, token: Token) -> None:
        self._lists.pop()
        self.parts.append("" if self._lists else "\n")

    _ordered_list_close = _bullet_list_close

    def _list_item_open(self, token: Token) -> None:
        number = self._lists[-1]
        indent = "  " * (len(self._lists) - 1)
        self.parts.append(f"{indent}- " if number is None else f"{indent}{number}. ")
        if number is not None:
            self._lists[-1] = number + 1

    def _fence(self, token: Token) -> None:
        self.parts.append(f"\n```\n{token.content.rstrip()}\n```\n\n")

    _code_block = _fence

    def _html_block(self, token: Token) -> None:
        self.parts.append(f"{_strip_tags(token.content)}\n\n")

    def _td_close(self, token: Token) -> None:
        self.parts.append(" | ")

    _th_close = _td_close

    def _tr_close(self, token: Token) -> None:
        if self.parts[-1] == " | ":
            self.parts[-1] = "\n"

    def _table_close(self, token: Token) -> None:
        self.parts.append("\n")


def _inline_text(token: Token) -> str:
    if token.type in ("softbreak", "hardbreak"):
        return "\n"
    if token.type == "html_inline":
        return "\n" if re.match(r"<br\b", token.content, re.IGNORECASE) else ""
    if token.type == "image":
        return "".join(_inline_text(child) for child in token.children or ())
    return token.content if token.type in ("text", "code_inline") else ""


class _TagStripper(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._silent = max(0, self._silent - (tag in ("script", "style")))

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.text.append(data)


def _strip_tags(html: str) -> str:
    stripper = _TagStripper()
    stripper.feed(html)
    stripper.close()
    return "".join(stripper.text).strip()
