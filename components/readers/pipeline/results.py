"""Scored spans of all windows of one context as the pipeline's answers."""

from collections.abc import Iterable
from typing import TypedDict

from lodestone.components.readers.pipeline.context import Context
from lodestone.components.readers.pipeline.scores import WindowScores


class Result(TypedDict):
    """An answer. `start` and `end` are characters of the context: `context[start:end] == answer`."""

    score: float
    start: int
    end: int
    answer: str


def collect(
    context: Context, windows: Iterable[WindowScores], *, top_k: int, no_answer: bool, whole_words: bool
) -> Result | list[Result]:
    """Merge what the windows found.

    The scores of spans that read the same, capitals aside, are summed, wherever they stand; the place given is that
    of the first. So a sum may exceed 1, as it could in transformers 4.

    :param context: The context.
    :param windows: The windows' spans, in the order of the windows.
    :param top_k: The most answers.
    :param no_answer: Whether "" competes, with the lowest null score of any window.
    :param whole_words: Whether spans are widened to whole words.
    :returns: The answers, best first; not in a list where there is one.
    """
    answers: dict[str, Result] = {}
    null = 1.0
    for found in windows:
        null = min(null, found.null)
        for span in found.spans:
            start, end = context.characters(found.window, span.first, span.last, whole_words=whole_words)
            text = context.text[start:end]
            same = answers.setdefault(text.lower(), {"score": 0.0, "start": start, "end": end, "answer": text})
            same["score"] += span.score
    results = list(answers.values())
    if no_answer or not results:
        results.append({"score": null if no_answer else 0.0, "start": 0, "end": 0, "answer": ""})
    results.sort(key=lambda result: -result["score"])
    return results[0] if len(results[:top_k]) == 1 else results[:top_k]
