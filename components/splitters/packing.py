"""Units packed into passages that fit, and units that are too long cut into smaller ones."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from lodestone.components.splitters.clusters import cut_before
from lodestone.components.splitters.sections import Span
from lodestone.components.splitters.token_count import TokenCount

_WORD = re.compile(r"\S+")
_CLAUSE_END = re.compile(r"[,;:.!?)\]}»”、，；：。！？]$")
_WIDE_PUNCTUATION = frozenset("、，；：。！？")
# Tokenizers make one unknown token of a very long word, so tokens alone do not bound a passage.
CHARACTERS_PER_TOKEN = 16


@dataclass(frozen=True, slots=True)
class Room:
    """What a passage of one section may take, as pairs of a text's tokens and the most of them that fit."""

    limits: tuple[tuple[TokenCount, int], ...]

    @property
    def characters(self) -> int:
        """The longest passage in characters."""
        return CHARACTERS_PER_TOKEN * min(limit for _, limit in self.limits)

    def fits(self, start: int, end: int) -> bool:
        """Whether a part of the text fits.

        :param start: First character.
        :param end: The character after the last one.
        :returns: Whether it has few enough tokens for every tokenizer, and few enough characters.
        """
        return end - start <= self.characters and all(
            count.between(start, end) <= limit for count, limit in self.limits
        )

    def tokens(self, start: int, end: int) -> int:
        """The tokens of a part of the text, under the tokenizer that needs most."""
        return max(count.between(start, end) for count, _ in self.limits)

    def reach(self, start: int) -> int:
        """Where a part that begins at a character has to end, to fit."""
        return min(start + self.characters, *(count.reach(start, limit) for count, limit in self.limits))

    def at_most(self, tokens: int) -> "Room":
        """The same with a lower limit for every tokenizer."""
        return Room(tuple((count, max(1, min(limit, tokens))) for count, limit in self.limits))


def pack(text: str, units: list[Span], room: Room, overlap_tokens: int) -> list[Span]:
    """Pack units into passages, as many as fit into each, the last ones repeated in the next.

    :param text: The whole text.
    :param units: Spans in order that do not overlap.
    :param room: What a passage may take.
    :param overlap_tokens: The most tokens that a passage repeats from the one before; whole units only.
    :returns: Spans of the passages, in order. Each begins and ends with a unit or a piece of one that was too long.
    """
    parts: list[Span] = []
    for start, end in units:
        if room.fits(start, end):
            parts.append((start, end))
        else:
            parts.extend(cut(text, start, end, room, max(overlap_tokens, 16)))
    passages: list[Span] = []
    first = 0
    while first < len(parts):
        after = _extent(parts, first, lambda start, end: room.fits(start, end))
        passages.append((parts[first][0], parts[after - 1][1]))
        if after == len(parts):
            break
        first = _overlap(parts, first, after, room, overlap_tokens)
    return passages


def _extent(parts: list[Span], first: int, fits: Callable[[int, int], bool]) -> int:
    """The index after the last part that fits together with the first."""
    after = first + 1
    while after < len(parts) and fits(parts[first][0], parts[after][1]):
        after += 1
    return after


def _overlap(parts: list[Span], first: int, after: int, room: Room, overlap_tokens: int) -> int:
    """Where the next passage begins: as far back as the overlap allows and its first new part still fits."""
    begin = after
    while (
        overlap_tokens > 0
        and begin - 1 > first
        and room.tokens(parts[begin - 1][0], parts[after - 1][1]) <= overlap_tokens
        and room.fits(parts[begin - 1][0], parts[after][1])
    ):
        begin -= 1
    return begin


def cut(text: str, start: int, end: int, room: Room, piece_tokens: int) -> list[Span]:
    """Cut a unit that does not fit into pieces: after a clause or a line, else between words, else inside a word.

    :param text: The whole text.
    :param start: First character of the unit.
    :param end: The character after its last one.
    :param room: What a piece has to fit into.
    :param piece_tokens: About how many tokens a piece should have; small pieces can overlap from passage to passage.
    :returns: Spans in order that hold all of the unit but whitespace.
    """
    small = room.at_most(piece_tokens)
    words: list[Span] = []
    for match in _WORD.finditer(text, start, end):
        words.extend([match.span()] if room.fits(*match.span()) else _cut_word(text, *match.span(), room))
    pieces: list[Span] = []
    first = 0
    while first < len(words):
        after = _extent(words, first, small.fits)
        if after < len(words):
            after = _clause_end(text, words, first, after)
        pieces.append((words[first][0], words[after - 1][1]))
        first = after
    return pieces


def _clause_end(text: str, words: list[Span], first: int, after: int) -> int:
    """The best end of a piece in its second half: a line's end, then a clause's, else where it is."""
    middle = first + max(1, (after - first) // 2)
    for index in range(after, middle - 1, -1):
        if "\n" in text[words[index - 1][1] : words[index][0]]:
            return index
    for index in range(after, middle - 1, -1):
        if _CLAUSE_END.search(text[words[index - 1][1] - 1]):
            return index
    return after


def _cut_word(text: str, start: int, end: int, room: Room) -> list[Span]:
    """Cut a word that does not fit: after punctuation (scripts without spaces), else between characters."""
    pieces: list[Span] = []
    while start < end and not room.fits(start, end):
        stop = cut_before(text, start, max(start + 1, min(end, room.reach(start))))
        for position in range(stop, start + (stop - start) // 2, -1):
            if text[position - 1] in _WIDE_PUNCTUATION:
                stop = position
                break
        pieces.append((start, stop))
        start = stop
    return [*pieces, (start, end)] if start < end else pieces
