"""Headings in converted text: Markdown's, reStructuredText's underlines, and the numbered ones of plain text.

A line that is wrongly taken for a heading is missing from the text that answers are quoted from, so in doubt a line is
no heading. The rules are those of CommonMark 0.31 (ATX, setext, single-line HTML) and of the reStructuredText
specification (the order in which underlines first appear gives their level), narrowed as the comments say.
"""

import html
import re
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Literal

from lodestone.components.splitters.lines import Line, fenced_lines, front_matter, text_lines

Kind = Literal["markdown", "rst", "text", "unknown"]

_KINDS: dict[str, Kind] = {
    **dict.fromkeys(
        (".md", ".markdown", ".mdx", ".html", ".htm", ".docx", ".pptx", ".xlsx", ".json", ".jsonl"), "markdown"
    ),
    ".csv": "markdown",
    ".rst": "rst",
    **dict.fromkeys((".txt", ".text", ".log", ".pdf"), "text"),
}
_LONGEST_TITLE = 160
_LONGEST_LINE = 1000
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*")
_HTML = re.compile(r"\s{0,3}<h([1-6])(?:\s[^>]*)?>(.*?)</h\1>\s*", re.IGNORECASE)
_UNDERLINES: dict[Kind, str] = {
    "markdown": "=-",
    "rst": "=-~^\"'`*+#:._",
    "text": "=-~^*+#",
    "unknown": "=-~^\"'`*+#",
}
_NO_TITLE = re.compile(r"\s*(?:[-*+•>|]\s|\||[=\-~^\"'`*+#:._]{3,}\s*$|\d+[.)]\s*$)")
_NUMBERED = re.compile(r" {0,3}((?:\d{1,2}|[A-Z](?=\.\d))(?:\.\d{1,3}){0,5})\.?[ \t\xa0]{1,4}(\S.*)")
_NAMED = re.compile(
    r"\s*(?:Appendix|Annex|Chapter|Part|Section|APPENDIX|CHAPTER)[ \xa0]([A-Z]|\d{1,2}|[IVX]{1,5})\b[.:)]?(?:.*)"
)
_NUMBER = re.compile(r"\d|[A-Z](?:\.\d|\b)|[IVX]{1,5}\b|Appendix|Annex|Part|APPENDIX|CHAPTER")
_LEADERS = re.compile(r"\.{4,}|(?:\. ){3,}|\s{2,}\d+\s*$|\t\d+\s*$")


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading and where it stands.

    `start` and `end` are the characters that it takes, underline included; `title_start` and `title_end` those of its
    words. All four are equal for a title that stands in front matter, which stays part of the text.
    """

    start: int
    end: int
    level: int
    text: str
    title_start: int
    title_end: int


def text_kind(name: str | None) -> Kind:
    """Which rules fit a file.

    :param name: A file's name or path, or None.
    :returns: `"markdown"` (converters of HTML and office files write it too), `"rst"`, `"text"` or `"unknown"`.
    """
    return _KINDS.get(PurePosixPath(name).suffix.lower(), "unknown") if name else "unknown"


def clean_heading(raw: str) -> str:
    """The words of a heading, without links, emphasis, code marks, anchors and HTML.

    :param raw: The heading as it stands in the text, without its marks (`##`) or underline.
    :returns: One line; empty where there are no words.
    """
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", raw)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"</?[A-Za-z][^<>]*>|<!--.*?-->", "", text)
    text = re.sub(r"\{[#:%][^{}]*\}", "", text)
    text = re.sub(r"(\*{1,3}|_{1,3}|`+)(?=\S)(.+?)(?<=\S)\1(?!\w)", r"\2", text)
    text = re.sub(r":[a-z]+:`([^`<]+)[^`]*`", r"\1", text)
    text = html.unescape(text).replace("`", "").replace("**", "").replace("\0", "")
    return " ".join(text.split())


def find_headings(text: str, kind: Kind = "unknown") -> list[Heading]:
    """Find the headings of a document.

    :param text: The converted text.
    :param kind: Which rules to use, from `text_kind`. `"unknown"` tries all of them.
    :returns: The headings in order; levels count from 1, outermost first, and may skip numbers.
    """
    lines = text_lines(text)
    fields, title = front_matter(lines)
    skipped = set(range(fields)) | (fenced_lines(lines) if kind != "rst" else set())
    found = _Finder(lines, kind, skipped).find()
    if (
        title
        and (name := clean_heading(title))
        and not any(heading.level == 1 and heading.text == name for heading in found)
    ):
        found = [Heading(0, 0, 0, name, 0, 0), *found]
    return found


class _Finder:
    """One pass over the lines of a document."""

    def __init__(self, lines: list[Line], kind: Kind, skipped: set[int]) -> None:
        self._lines = lines
        self._kind = kind
        self._skipped = skipped
        self._styles: list[str] = []  # underlines in the order of their first use
        self._last_number: tuple[int, ...] = ()
        self._underlines = _UNDERLINES[kind]
        self._nested_numbers = False
        self._indent: int | None = None  # of numbered headings of the first level
        # A table of contents has the words of headings that come later.
        self._last_place: dict[str, int] = {}
        if kind in {"text", "unknown"}:
            places = ((words, number) for number, line in enumerate(lines) if (words := _numbered_words(line)))
            self._last_place.update(places)

    def find(self) -> list[Heading]:
        found: list[Heading] = []
        number = 0
        while number < len(self._lines):
            heading, taken = self._at(number)
            if heading is not None:
                found.append(heading)
            number += taken
        if self._kind == "unknown" and any(heading.level < 0 for heading in found):
            found = self._settle(found)
        return [replace(heading, level=abs(heading.level)) for heading in found]

    def _settle(self, found: list[Heading]) -> list[Heading]:
        """Below Markdown's headings an underline has Markdown's level; its own order counts in reStructuredText."""
        if not any(heading.level > 0 for heading in found):
            return found
        levels = {-1 - position: (1 if style[-1] == "=" else 2) for position, style in enumerate(self._styles)}
        return [replace(heading, level=levels.get(heading.level, heading.level)) for heading in found]

    def _at(self, number: int) -> tuple[Heading | None, int]:
        """The heading that begins at a line, if one does, and how many lines were dealt with."""
        line = self._lines[number]
        if number in self._skipped or line.blank or len(line.text) > _LONGEST_LINE:
            return None, 1
        stripped = line.text.lstrip()
        if stripped[0] == "#" and self._kind != "rst" and (heading := self._atx(number)):
            return heading, 1
        if stripped[0] == "<" and self._kind in {"markdown", "unknown"} and (heading := self._html(line)):
            return heading, 1
        underlined = self._underlined(number)
        if underlined is not None:
            return underlined
        if self._kind in {"text", "unknown"} and (heading := self._numbered(number)):
            return heading, 1
        return None, 1

    def _blank(self, number: int) -> bool:
        return not 0 <= number < len(self._lines) or self._lines[number].blank

    def _atx(self, number: int) -> Heading | None:
        line = self._lines[number]
        match = _ATX.fullmatch(line.text)
        if match is None or not match.group(2):
            return None
        # In plain text `# ...` is more often a comment or a shell prompt, unless it stands alone.
        if self._kind == "text" and not (self._blank(number - 1) and self._blank(number + 1)):
            return None
        return _heading(line, len(match.group(1)), line.start + match.start(2), line.start + match.end(2), line.end)

    def _html(self, line: Line) -> Heading | None:
        match = _HTML.fullmatch(line.text)
        if match is None:
            return None
        return _heading(line, int(match.group(1)), line.start + match.start(2), line.start + match.end(2), line.end)

    def _underlined(self, number: int) -> tuple[Heading, int] | None:
        """A title with a line of one repeated character below it, or below and above."""
        style = self._rule(number)
        if style and self._kind != "markdown":
            below = self._rule(number + 2)
            if below == style and self._blank(number - 1) and self._is_title(number + 1, overlined=True):
                title, rule = self._lines[number + 1], self._lines[number + 2]
                over = self._lines[number].start
                heading = _heading(title, self._level(style + style), title.start, title.end, rule.end, over)
                return (heading, 3) if heading else None
            return None
        style = self._rule(number + 1)
        if not style or not self._blank(number - 1) or not self._is_title(number, overlined=False):
            return None
        title, rule = self._lines[number], self._lines[number + 1]
        if self._kind != "markdown" and len(rule.text.strip()) < min(4, len(title.text.strip())):
            return None
        level = (1 if style == "=" else 2) if self._kind == "markdown" else self._level(style)
        heading = _heading(title, level, title.start, title.end, rule.end)
        return (heading, 2) if heading else None

    def _rule(self, number: int) -> str:
        """The character that a line repeats at least three times, or nothing."""
        if not 0 <= number < len(self._lines) or number in self._skipped:
            return ""
        text = self._lines[number].text.rstrip()
        first = text[:1]
        if len(text) < 3 or first not in self._underlines or text != first * len(text):
            return ""
        return first

    def _is_title(self, number: int, overlined: bool) -> bool:
        if self._blank(number) or number in self._skipped:
            return False
        text = self._lines[number].text
        indented = text[0] in " \t" and not overlined
        return not indented and len(text.strip()) <= _LONGEST_TITLE and _NO_TITLE.match(text) is None

    def _level(self, style: str) -> int:
        """The level of an underline, negative in a text of unknown kind until all headings are known."""
        if style not in self._styles:
            self._styles.append(style)
        level = self._styles.index(style) + 1
        return -level if self._kind == "unknown" else level

    def _numbered(self, number: int) -> Heading | None:
        """`3.1.2  Title` or `Appendix B. Title`, alone between blank lines, and the next of its kind."""
        if not (self._blank(number - 1) and self._blank(number + 1)):
            return None
        line = self._lines[number]
        text = line.text.rstrip()
        if len(text) > 90 or _LEADERS.search(text) or self._last_place.get(_words(line), number) > number:
            return None
        match = _NAMED.fullmatch(text)
        if match is not None:
            if text[-1] in ",;" or len(text) > 120:
                return None
            if match.group(1).isdigit():
                self._last_number = max(self._last_number, (int(match.group(1)),))
            return _heading(line, 1, line.start, line.start + len(text), line.end)
        match = _NUMBERED.fullmatch(text)
        if match is None:
            return None
        parts = tuple(int(part) if part.isdigit() else 100 + ord(part) for part in match.group(1).split("."))
        if not self._is_numbered_title(match.group(2), len(parts)) or not self._follows(parts):
            return None
        indent = match.start(1)
        if len(parts) == 1:
            if self._indent not in (None, indent):
                return None
            self._indent = indent
        self._last_number = parts
        self._nested_numbers |= len(parts) > 1
        return _heading(line, len(parts), line.start + match.start(1), line.start + len(text), line.end)

    def _is_numbered_title(self, title: str, depth: int) -> bool:
        if not (title[0].isupper() or title[0] in "\"'“‘(") or title[-1] in ",;:!" or ". " in title:
            return False
        # The step of a list ends with a full stop, a heading rarely; numbers of two levels are no list's.
        return not (title[-1] == "." and ((depth == 1 and not self._nested_numbers) or len(title.split()) > 6))

    def _follows(self, parts: tuple[int, ...]) -> bool:
        """Whether a number goes on where the last heading's stopped: the steps of a numbered list begin again."""
        if len(parts) == 1:
            return parts[0] == (self._last_number[0] + 1 if self._last_number else 1)
        if parts[0] >= 100:
            return parts > self._last_number
        return parts > self._last_number and parts[0] <= (self._last_number[0] + 1 if self._last_number else 1)


def _words(line: Line) -> str:
    return " ".join(re.sub(r"^\s*(?:Chapter|Section)\s+", "", line.text).split())


def _numbered_words(line: Line) -> str:
    """The words of a line, if they begin as those of a numbered heading do: to remember every line takes much room."""
    return words if _NUMBER.match(words := _words(line)) else ""


def _heading(line: Line, level: int, title_start: int, title_end: int, end: int, start: int = -1) -> Heading | None:
    """The heading whose title stands on a line; None where no words are left when it is cleaned."""
    name = clean_heading(line.text[title_start - line.start : title_end - line.start])
    return Heading(line.start if start < 0 else start, end, level, name, title_start, title_end) if name else None
