"""Where a word that is too long may be cut without tearing apart what a reader sees as one character."""

import unicodedata

_JOINER = "\u200d"


def is_boundary(text: str, position: int) -> bool:
    """Whether a text may be cut before a character.

    An approximation of the grapheme clusters of Unicode's annex 29: marks, variation selectors, joiners, skin tones and
    the halves of flags stay with what they belong to.

    :param text: Any text.
    :param position: Index of the character after the cut.
    :returns: False inside a cluster.
    """
    if position <= 0 or position >= len(text):
        return True
    before, after = text[position - 1], text[position]
    if after < "\u0300":
        return not (before == "\r" and after == "\n")
    if after == _JOINER or before == _JOINER or unicodedata.category(after).startswith("M"):
        return False
    if "\U0001f3fb" <= after <= "\U0001f3ff" or "\U000e0020" <= after <= "\U000e007f":
        return False
    if _is_flag_half(before) and _is_flag_half(after):
        run = 0
        while run < position and _is_flag_half(text[position - 1 - run]):
            run += 1
        return run % 2 == 0
    return True


def cut_before(text: str, start: int, end: int) -> int:
    """The last place, after `start` and not after `end`, where a text may be cut.

    :param text: Any text.
    :param start: First character of the piece.
    :param end: Where the piece has to end at the latest; behind `start`.
    :returns: A position in `(start, end]`: `end` itself where all of the piece is one cluster.
    """
    position = end
    while position > start and not is_boundary(text, position):
        position -= 1
    return position if position > start else end


def _is_flag_half(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"
