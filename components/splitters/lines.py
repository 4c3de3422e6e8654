"""The lines of a text with their offsets, and which of them stand in code fences or in front matter."""

import re
from typing import NamedTuple

_LINE = re.compile(r"([^\n\r\f]*)(\r\n|[\n\r\f]|\Z)")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_FRONT_MATTER_LINE = re.compile(r"[\w-]+[ \t]*:(\s|$)")
_FRONT_MATTER_LINES = 200


class Line(NamedTuple):
    """One line: `text` is the document's `[start:end]`, without the characters that end the line."""

    start: int
    end: int
    text: str

    @property
    def blank(self) -> bool:
        """Whether there is nothing but whitespace."""
        return not self.text or self.text.isspace()


def text_lines(text: str, start: int = 0, end: int | None = None) -> list[Line]:
    """Cut a text at its line ends: `\\n`, `\\r\\n`, `\\r`, and the form feed between two pages.

    :param text: Any text.
    :param start: First character of the part to cut.
    :param end: The character after its last one; None for the text's end.
    :returns: Its lines in order; offsets count characters of `text`.
    """
    lines: list[Line] = []
    last = len(text) if end is None else end
    for match in _LINE.finditer(text, start, last):
        if match.end() == match.start() == last and lines:
            break
        lines.append(Line(match.start(1), match.end(1), match.group(1)))
    return lines


def fenced_lines(lines: list[Line]) -> set[int]:
    """The numbers of the lines of fenced code, fences included.

    A fence that is never closed is taken for text: it would hide every heading after it.

    :param lines: The lines of a document.
    :returns: Indexes into `lines`.
    """
    inside: set[int] = set()
    opened: tuple[int, str] | None = None
    for number, line in enumerate(lines):
        if "```" not in line.text and "~~~" not in line.text:
            continue
        match = _FENCE.fullmatch(line.text)
        if match is None:
            continue
        marks, info = match.groups()
        if opened is None:
            if not (marks[0] == "`" and "`" in info):
                opened = (number, marks)
        elif marks[0] == opened[1][0] and len(marks) >= len(opened[1]) and not info.strip():
            inside.update(range(opened[0], number + 1))
            opened = None
    return inside


def front_matter(lines: list[Line]) -> tuple[int, str | None]:
    """Find the fields at a document's head: YAML between two `---`, or `Name: value` lines up to a blank line.

    :param lines: The lines of a document.
    :returns: How many lines they take (0 where there are none), and the value of the field `title`, if any.
    """
    first = next((number for number, line in enumerate(lines) if not line.blank), None)
    if first is None:
        return 0, None
    if lines[first].text.rstrip() == "---":
        for number in range(first + 1, min(len(lines), first + _FRONT_MATTER_LINES)):
            if lines[number].text.rstrip() in {"---", "..."}:
                fields = lines[first + 1 : number]
                if any(_FRONT_MATTER_LINE.match(line.text) for line in fields):
                    return number + 1, _title(fields)
                break
        return 0, None
    end = first
    while end < len(lines) and not lines[end].blank:
        if not _FRONT_MATTER_LINE.match(lines[end].text) and not (end > first and lines[end].text[0] in " \t"):
            return 0, None
        end += 1
    title = _title(lines[first:end])
    return (end, title) if title is not None and end - first >= 2 else (0, None)


def _title(fields: list[Line]) -> str | None:
    for line in fields:
        name, colon, value = line.text.partition(":")
        if colon and name.strip().lower() == "title":
            return value.strip().strip("\"'").strip() or None
    return None
