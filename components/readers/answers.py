"""Merged answers as Haystack's `ExtractedAnswer`, with context, page and evidence."""

from collections.abc import Sequence
from typing import Any

from haystack.dataclasses import ExtractedAnswer

from lodestone.components.readers.merging import MergedAnswer, Quote


def to_extracted_answers(
    query: str, answers: Sequence[MergedAnswer], scores: Sequence[float], *, calibrated: bool, context_chars: int
) -> list[ExtractedAnswer]:
    """Haystack's answers.

    :param query: The question.
    :param answers: Merged answers.
    :param scores: The score of each.
    :param calibrated: Whether the scores are probabilities.
    :param context_chars: Characters of context on each side.
    :returns: For each answer its best quote, with `meta` holding `start` and `end` (characters in the document's
        text), `context_start`, `context_end` (the same of the context), `answer_page_number` (1-based or None),
        `margin`, `calibrated` and `evidence`: every place where it stands, the best first.
    """
    return [
        _to_extracted_answer(query, answer, score, calibrated, context_chars)
        for answer, score in zip(answers, scores, strict=True)
    ]


def no_answer(query: str, score: float, *, calibrated: bool) -> ExtractedAnswer:
    """The answer that there is none: `data` and `document` are None."""
    return ExtractedAnswer(query=query, score=score, data=None, meta={"calibrated": calibrated})


def _to_extracted_answer(
    query: str, answer: MergedAnswer, score: float, calibrated: bool, context_chars: int
) -> ExtractedAnswer:
    quote = answer.best
    content = quote.document.content or ""
    left, right = context_bounds(content, quote.start, quote.end, context_chars)
    _, start, end = quote.place
    return ExtractedAnswer(
        query=query,
        score=score,
        data=quote.text,
        document=quote.document,
        context=content[left:right],
        document_offset=ExtractedAnswer.Span(quote.start, quote.end),
        context_offset=ExtractedAnswer.Span(quote.start - left, quote.end - left),
        meta={
            "start": start,
            "end": end,
            "context_start": left + quote.shift,
            "context_end": right + quote.shift,
            "answer_page_number": quote.page,
            "margin": quote.margin,
            "calibrated": calibrated,
            "evidence": [_evidence(quote) for quote in answer.quotes],
        },
    )


def _evidence(quote: Quote) -> dict[str, Any]:
    origin, start, end = quote.place
    return {
        "text": quote.text,
        "source": quote.document.meta.get("source"),
        "root": quote.document.meta.get("root"),
        "source_id": origin,
        "page": quote.page,
        "start": start,
        "end": end,
        "passage_id": quote.document.id,
        "margin": quote.margin,
    }


def context_bounds(content: str, start: int, end: int, context_chars: int) -> tuple[int, int]:
    """Where the context of `content[start:end]` begins and ends: at most `context_chars` away, not inside a word.

    :param content: The passage.
    :param start: First character of the answer.
    :param end: The character behind the answer.
    :param context_chars: The most characters on each side.
    :returns: First character of the context and the one behind it.
    """
    left, right = max(0, start - context_chars), min(len(content), end + context_chars)
    if left > 0:
        left = next((at for at in range(left, start) if content[at - 1].isspace()), left)
    if right < len(content):
        right = next((at for at in range(right, end, -1) if content[at].isspace()), right)
    while left < start and content[left].isspace():
        left += 1
    while right > end and content[right - 1].isspace():
        right -= 1
    return left, right
