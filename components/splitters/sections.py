"""A document as sections, each under its headings, and a section as the units that passages are packed from."""

import re
from dataclasses import dataclass

from lodestone.components.splitters.headings import Heading, Kind, find_headings
from lodestone.components.splitters.lines import fenced_lines, text_lines
from lodestone.components.splitters.sentences import sentence_spans, strip_span

Span = tuple[int, int]

_ITEM = re.compile(r"\s*(?:[-*+•‣▪◦–]|\d{1,2}[.)]|[A-Za-z][.)]|\([A-Za-z0-9]{1,3}\)|#\.)\s+\S")
# A row of a Markdown, grid, tab-separated or aligned table. Aligned ones have gaps that prose does not have.
_ROW = re.compile(r"\s*\||\s*\+[-=+]+\+\s*$|.*\S\t+\S|.*\S {4,}\S.* {4,}\S|.*\S \| .*\S \| ")


@dataclass(frozen=True, slots=True)
class Section:
    """The part of a text between two headings, `[start:end]`, and the headings above it, outermost first."""

    headings: tuple[str, ...]
    start: int
    end: int


def find_sections(text: str, kind: Kind = "unknown") -> list[Section]:
    """Cut a document at its headings.

    A heading with nothing under it, neither text nor further headings, is a section of its own whose content are the
    heading's words: else no passage would hold them, nor those of a list item that looks like a heading. A document of
    headings only has passages by the same rule.

    :param text: The converted text.
    :param kind: Which rules find the headings, from `text_kind`.
    :returns: The sections that are not blank, in order.
    """
    headings = find_headings(text, kind)
    sections: list[Section] = []
    stack: list[Heading] = []
    _add(sections, text, (), 0, headings[0].start if headings else len(text))
    for number, heading in enumerate(headings):
        following = headings[number + 1] if number + 1 < len(headings) else None
        while stack and stack[-1].level >= heading.level:
            stack.pop()
        above = tuple(outer.text for outer in stack)
        stack.append(heading)
        until = following.start if following else len(text)
        if _add(sections, text, (*above, heading.text), heading.end, until) or heading.start == heading.end:
            continue
        if following is None or following.level <= heading.level:
            _add_empty(sections, text, above, heading)
    return sections


def _add(sections: list[Section], text: str, headings: tuple[str, ...], start: int, end: int) -> bool:
    start, end = strip_span(text, start, end)
    if start < end:
        sections.append(Section(headings, start, end))
    return start < end


def _add_empty(sections: list[Section], text: str, above: tuple[str, ...], heading: Heading) -> None:
    """Keep a heading without content as content, in one section with such a one right before it."""
    start, end = strip_span(text, heading.title_start, heading.title_end)
    if sections and sections[-1].headings == above and text[sections[-1].end : heading.start].isspace():
        sections[-1] = Section(above, sections[-1].start, end)
    else:
        sections.append(Section(above, start, end))


def section_units(text: str, section: Section, language: str = "en") -> list[Span]:
    """Cut a section into what passages are packed from: sentences, list items' sentences, rows, lines of code.

    :param text: The whole text.
    :param section: A section of it.
    :param language: ISO 639-1 code, for the sentences.
    :returns: `(start, end)` of every unit in characters of `text`, in order, without surrounding whitespace; every
        other character of the section is in exactly one of them.
    """
    lines = text_lines(text, section.start, section.end)
    code = fenced_lines(lines)
    units: list[Span] = []
    block: Span | None = None

    def close() -> None:
        nonlocal block
        if block is not None:
            units.extend(sentence_spans(text, block[0], block[1], language))
            block = None

    for number, line in enumerate(lines):
        if line.blank:
            # The line that a form feed ends is often blank: a sentence may go on over it, but not over an empty line.
            close()
        elif number in code or _is_row(line.text):
            close()
            units.append(strip_span(text, line.start, line.end))
        elif block is None or _ITEM.match(line.text):
            close()
            block = (line.start, line.end)
        else:
            block = (block[0], line.end)
    close()
    return units


def _is_row(line: str) -> bool:
    # The pattern's time grows with the square of the blanks at a line's end; it needs one of them.
    return _ROW.match(line.rstrip() + " ") is not None
