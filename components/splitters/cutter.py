"""One text to passages: sections, units, packing, and the check that what was cut really fits."""

from collections.abc import Sequence
from dataclasses import dataclass

from lodestone.components.splitters.budget import Budget
from lodestone.components.splitters.clusters import cut_before
from lodestone.components.splitters.headings import Kind
from lodestone.components.splitters.packing import Room, pack
from lodestone.components.splitters.sections import Section, find_sections, section_units
from lodestone.components.splitters.sentences import strip_span
from lodestone.components.splitters.token_count import TokenCount, exact_counts


@dataclass(frozen=True, slots=True)
class Piece:
    """A passage of a text: `text[start:end]` under its headings, outermost first, cut as short as they are embedded."""

    start: int
    end: int
    headings: tuple[str, ...]


class PassageCutter:
    """Cuts texts into passages that fit a budget."""

    def __init__(self, budget: Budget, overlap_tokens: int, language: str) -> None:
        """Set up a cutter.

        :param budget: The room of a passage.
        :param overlap_tokens: The most tokens that a passage repeats from the one before it in its section.
        :param language: ISO 639-1 code of the texts, for their sentences.
        """
        self._budget = budget
        self._overlap_tokens = overlap_tokens
        self._language = language

    def cut(self, text: str, kind: Kind, outer: Sequence[str] = ()) -> list[Piece]:
        """Cut a text.

        :param text: The converted text of one document.
        :param kind: Which rules find its headings.
        :param outer: Headings that stand above the whole document.
        :returns: The passages in order; all but whitespace and headings is in at least one of them.
        """
        sections = find_sections(text, kind)
        if not sections:
            return []
        counts = self._counts(text)
        pieces: list[Piece] = []
        for section in sections:
            headings, taken = self._short_headings((*outer, *section.headings))
            room = self._room(counts, taken)
            units = section_units(text, section, self._language)
            spans = pack(text, units, room, self._overlap_tokens)
            pieces.extend(Piece(start, end, headings) for start, end in spans)
        return self._verified(text, pieces, counts)

    def _counts(self, text: str) -> list[TokenCount]:
        reader = TokenCount(self._budget.reader, text)
        return [reader, reader if self._budget.same_tokenizer else TokenCount(self._budget.embedder, text)]

    def _room(self, counts: list[TokenCount], heading_tokens: int) -> Room:
        budget = self._budget
        reader = min(budget.reader_room, budget.content_room)
        embedder = min(budget.embedder_room - heading_tokens, budget.content_room)
        if counts[0] is counts[1]:
            return Room(((counts[0], min(reader, embedder)),))
        return Room(((counts[0], reader), (counts[1], embedder)))

    def _short_headings(self, headings: tuple[str, ...]) -> tuple[tuple[str, ...], int]:
        """The innermost headings that take no more than a quarter of the embedder's room, and how much they take."""
        most = self._budget.embedder_room // 4
        for first in range(len(headings)):
            kept = headings[first:]
            taken = self._embedder_tokens("\n".join(kept) + "\n")
            if taken <= most:
                return kept, taken
        if not headings:
            return (), 0
        kept = (self._truncated(headings[-1], most),)
        return kept, self._embedder_tokens(kept[0] + "\n")

    def _truncated(self, heading: str, most: int) -> str:
        offsets = self._budget.embedder.encode(heading, add_special_tokens=False).offsets
        for tokens in range(min(most, len(offsets)), 0, -1):
            end = cut_before(heading, 0, max(1, offsets[tokens - 1][1]))
            space = heading.rfind(" ", end // 2, end + 1)
            short = heading[: space if space > 0 and end < len(heading) else end].strip()[: most * 16]
            if short and self._embedder_tokens(short + "\n") <= most:
                return short
        return heading[:8]

    def _embedder_tokens(self, text: str) -> int:
        return len(self._budget.embedder.encode(text, add_special_tokens=False))

    def _verified(self, text: str, pieces: list[Piece], counts: list[TokenCount]) -> list[Piece]:
        """Cut again what does not fit when it is tokenized alone: tokens differ a little where a text is cut."""
        excess = self._excess(text, pieces)
        if not any(excess):
            return pieces
        fitting: list[Piece] = []
        for piece, more in zip(pieces, excess, strict=True):
            fitting.extend([piece] if more <= 0 else self._smaller(text, piece, counts))
        return fitting

    def _excess(self, text: str, pieces: list[Piece]) -> list[int]:
        """By how many tokens each passage is too long, 0 where it fits."""
        budget = self._budget
        reader = exact_counts(budget.reader, (text[piece.start : piece.end] for piece in pieces))
        embedder = reader
        if not budget.same_tokenizer:
            embedder = exact_counts(budget.embedder, (text[piece.start : piece.end] for piece in pieces))
        searched = exact_counts(
            budget.embedder, ("\n".join([*piece.headings, text[piece.start : piece.end]]) for piece in pieces)
        )
        most = min(budget.reader_room, budget.content_room)
        return [
            max(0, read - most, content - budget.content_room, both - budget.embedder_room)
            for read, content, both in zip(reader, embedder, searched, strict=True)
        ]

    def _smaller(self, text: str, piece: Piece, counts: list[TokenCount]) -> list[Piece]:
        """The passages of one that did not fit: its units in less and less room, in the end its two halves."""
        room = self._room(counts, self._short_headings(piece.headings)[1])
        most = min(limit for _, limit in room.limits)
        units = section_units(text, Section(piece.headings, piece.start, piece.end), self._language)
        for share in (0.97, 0.9, 0.75, 0.5):
            spans = pack(text, units, room.at_most(int(most * share)), 0)
            pieces = [Piece(start, end, piece.headings) for start, end in spans]
            if not any(self._excess(text, pieces)):
                return pieces
        return self._halves(text, piece)

    def _halves(self, text: str, piece: Piece) -> list[Piece]:
        """Cut in the middle, at whitespace where there is some, until everything fits or is one character."""
        if piece.end - piece.start <= 1 or not any(self._excess(text, [piece])):
            return [piece]
        middle = (piece.start + piece.end) // 2
        space = max(text.rfind(white, piece.start + 1, middle) for white in " \n\t\r\f")
        cut = space if space > piece.start else cut_before(text, piece.start, middle)
        if cut >= piece.end or cut <= piece.start:
            cut = middle
        halves: list[Piece] = []
        for start, end in ((piece.start, cut), (cut, piece.end)):
            start, end = strip_span(text, start, end)
            if start < end:
                halves.extend(self._halves(text, Piece(start, end, piece.headings)))
        return halves
