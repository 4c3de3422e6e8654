"""One answer out of the same quote found in several windows, passages and documents."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from haystack import Document

from lodestone.components.readers.normalize import normalize_answer


@dataclass(frozen=True)
class Quote:
    """A span as characters of a passage, and where it stands in the document that the passage was cut from.

    :param document: The passage.
    :param start: First character in the passage's content.
    :param end: The character behind the last one.
    :param margin: Logit margin over the null score of the window it was found in.
    """

    document: Document
    start: int
    end: int
    margin: float

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

    @property
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
        """The quote with the largest margin."""
        return self.quotes[0]


def merge(quotes: Iterable[Quote], overlap_threshold: float | None) -> list[MergedAnswer]:
    """Merge quotes into distinct answers.

    Of quotes that overlap in one document, whether they were found in the same window, in neighbouring windows or in
    overlapping passages, the best stays. Quotes that stand elsewhere but are equal after SQuAD's normalisation become
    further evidence of the same answer. The answer's margin is that of its best quote.

    :param quotes: Quotes of one question, in any order.
    :param overlap_threshold: Two quotes of one document compete when the characters they share are more than this
        fraction of either; None keeps all that are not at the very same place.
    :returns: Answers, best first; ties in the order of their places.
    """
    kept: dict[str, list[Quote]] = {}
    answers: dict[str, MergedAnswer] = {}
    for number, quote in enumerate(sorted(quotes, key=lambda q: (-q.margin, q.place, q.document.id))):
        rivals = kept.setdefault(quote.origin, [])
        if any(_competes(quote, rival, overlap_threshold) for rival in rivals):
            continue
        rivals.append(quote)
        key = normalize_answer(quote.text) or quote.text.strip().lower()
        if overlap_threshold is None:
            key = f"{key}\0{number}"
        answers.setdefault(key, MergedAnswer()).quotes.append(quote)
    return list(answers.values())


def _competes(quote: Quote, rival: Quote, threshold: float | None) -> bool:
    if quote.place == rival.place:
        return True
    if threshold is None:
        return False
    _, start, end = quote.place
    _, rival_start, rival_end = rival.place
    shared = min(end, rival_end) - max(start, rival_start)
    return shared > 0 and shared > threshold * min(end - start, rival_end - rival_start)
