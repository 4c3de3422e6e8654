"""How much of a question's wording stands in a passage, and in the sentence that an answer was found in."""

import re
from functools import lru_cache

_WORD = re.compile(r"\w+")
_SENTENCE_END = re.compile(r"[.!?]\s+|\n")
_ENDINGS = ("ing", "ed", "es", "s", "ly")
_SHORTEST_STEM = 3
# English words that say nothing about the subject of a question. Of a question in another language all words count.
_STOP_WORDS = """
    a about after also an and are as at be been before being between but by can could d did do does done during
    for from had has have having he her him his how i if in into is it its many may me might much must my no nor
    not of on or our s shall she should t than that the their them then there these they this those to us was we
    were what when where which who whom whose why will with would you your
"""
_IGNORED = frozenset(_STOP_WORDS.split())


class QuestionWording:
    """The words of a question that a passage can be expected to share, by their stems.

    :param query: The question.
    """

    def __init__(self, query: str) -> None:
        words = _WORD.findall(query.lower())
        self._stems = frozenset(_stem(word) for word in words if word not in _IGNORED) or _stems(query)

    def share_in(self, text: str) -> float:
        """Which fraction of the question's words a text has, 0.0 to 1.0.

        :param text: Any text.
        """
        return len(self._stems & _stems(text)) / len(self._stems) if self._stems else 0.0

    def share_around(self, text: str, start: int, end: int) -> float:
        """Which fraction of the question's words stands in the sentence around an answer, the answer not counted.

        :param text: The passage.
        :param start: First character of the answer.
        :param end: The character behind it.
        """
        left, right = _sentence(text, start, end)
        return self.share_in(f"{text[left:start]} {text[end:right]}")


def count_words(text: str) -> int:
    """How many words a text has."""
    return len(_WORD.findall(text))


def _sentence(text: str, start: int, end: int) -> tuple[int, int]:
    left = 0
    for found in _SENTENCE_END.finditer(text, 0, start):
        left = found.end()
    behind = _SENTENCE_END.search(text, end)
    return left, behind.start() if behind else len(text)


def _stems(text: str) -> frozenset[str]:
    return frozenset(map(_stem, _WORD.findall(text.lower())))


@lru_cache(maxsize=1 << 16)
def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST_STEM:
            return word[: -len(ending)]
    return word
