"""One answer out of the same quote found in several windows, passages and documents."""

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from haystack import Document

from lodestone.components.readers.normalize import normalize_answer

MOST_LEAD = 10.0


@dataclass(frozen=True)
class Quote:
    """A span as characters of a passage, and where it stands in the document that the passage was cut from.

    :param document: The passage.
    :param start: First character in the passage's content.
    :param end: The character behind the last one.
    :param margin: Logit margin over the null score of the window it was found in.
    :param logit: Start plus end logit.
    :param lead: How far its margin lies above that of the best span of its window that overlaps it but has other words
        after SQuAD's normalisation; 10.0 if there is none, or it is further away.
    """

    document: Document
    start: int
    end: int
    margin: float
    logit: float
    lead: float = MOST_LEAD

    @property
    def text(self) -> str:
        """The words as they stand."""
        return (self.document.content or "")[self.start : self.end]

    @property
    def origin(self) -> str:
        """The document that it stands in; a passage that names none is a document itself."""
        return str(self.document.meta.get("source_id", self.document.id))

    @property
    def shift(self) -> int:
        """Where the passage begins in its document, in characters."""
        start = self.document.meta.get("split_idx_start")
        return start if isinstance(start, int) and "source_id" in self.document.meta else 0

    @cached_property
    def place(self) -> tuple[str, int, int]:
        """Document, first character in it, and the character behind the last."""
        return self.origin, self.start + self.shift, self.end + self.shift

    @property
    def page(self) -> int | None:
        """1-based page of the first character, or None where the document has no pages."""
        page = self.document.meta.get("page_number")
        if not isinstance(page, int):
            return None
        return page + (self.document.content or "")[: self.start].count("\f")


@dataclass
class MergedAnswer:
    """Quotes that give the same answer, the best first."""

    quotes: list[Quote] = field(default_factory=list)

    @property
    def best(self) -> Quote:
        """The best quote."""
        return self.quotes[0]


class Merger:
    """Merges the quotes of one question into distinct answers.

    Of quotes that overlap in one document the best stays, first in each window, then across neighbouring windows and
    overlapping passages. Quotes that stand elsewhere but are equal after SQuAD's normalisation become
    further evidence of the same answer. The answer's score is that of its best quote.

    :param overlap_threshold: Two quotes of one document compete when the characters they share are more than this
        fraction of either; None keeps all that are not at the very same place.
    :param rank: By what quotes are compared: larger is better.
    """

    def __init__(self, overlap_threshold: float | None, rank: Callable[[Quote], float]) -> None:
        self._threshold = overlap_threshold
        self._rank = rank
        self._kept: dict[str, list[Quote]] = {}

    def add(self, quotes: Sequence[Quote], considered: int | None = None) -> None:
        """Take in the quotes of one window; those that a better one of the same window rules out are let go at once.

        :param quotes: The window's quotes; all of them tell how clear the cut of each is.
        :param considered: How many of them, the best ones, may be answers; None for all.
        """
        best: list[Quote] = []
        for quote in sorted(quotes, key=self._order)[:considered]:
            if not any(_competes(quote, rival, self._threshold) for rival in best):
                best.append(replace(quote, lead=_lead(quote, quotes)))
        if best:
            self._kept.setdefault(best[0].origin, []).extend(best)

    def merged(self) -> list[MergedAnswer]:
        """The distinct answers.

        :returns: Answers, best first; ties in the order of their places.
        """
        answers: dict[str, MergedAnswer] = {}
        rivals: dict[str, _Neighbours] = defaultdict(_Neighbours)
        everything = (quote for quotes in self._kept.values() for quote in quotes)
        for number, quote in enumerate(sorted(everything, key=self._order)):
            neighbours = rivals[quote.origin]
            if any(_competes(quote, rival, self._threshold) for rival in neighbours.near(quote)):
                continue
            neighbours.add(quote)
            key = normalize_answer(quote.text) or quote.text.strip().lower()
            if self._threshold is None:
                key = f"{key}\0{number}"
            answers.setdefault(key, MergedAnswer()).quotes.append(quote)
        return list(answers.values())

    def _order(self, quote: Quote) -> tuple[float, tuple[str, int, int], str]:
        return -self._rank(quote), quote.place, quote.document.id


class _Neighbours:
    """Quotes of one document by their place, so that a long document does not make each compete with all."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._quotes: list[Quote] = []
        self._longest = 0

    def near(self, quote: Quote) -> list[Quote]:
        """Those that may share characters with a quote."""
        _, start, end = quote.place
        first = bisect_left(self._starts, start - self._longest)
        return self._quotes[first : bisect_right(self._starts, end)]

    def add(self, quote: Quote) -> None:
        """Take one in."""
        _, start, end = quote.place
        at = bisect_right(self._starts, start)
        self._starts.insert(at, start)
        self._quotes.insert(at, quote)
        self._longest = max(self._longest, end - start)


def _lead(quote: Quote, quotes: Sequence[Quote]) -> float:
    overlapping = (each for each in quotes if min(quote.end, each.end) > max(quote.start, each.start))
    text = normalize_answer(quote.text)
    rivals = (each.margin for each in overlapping if normalize_answer(each.text) != text)
    return min(MOST_LEAD, quote.margin - max(rivals, default=-math.inf))


def _competes(quote: Quote, rival: Quote, threshold: float | None) -> bool:
    if quote.place == rival.place:
        return True
    if threshold is None:
        return False
    _, start, end = quote.place
    _, rival_start, rival_end = rival.place
    shared = min(end, rival_end) - max(start, rival_start)
    return shared > 0 and shared > threshold * min(end - start, rival_end - rival_start)
