"""The scores of transformers' pipeline: products of start and end probabilities within one window."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lodestone.components.engines.engine import FloatArray
from lodestone.components.readers.spans import best_spans
from lodestone.components.readers.windows import Window


@dataclass(frozen=True)
class ScoredSpan:
    """A span inside one window.

    :param first: Index of its first token in the context.
    :param last: Index of its last token in the context.
    :param score: Probability of its start times that of its end.
    """

    first: int
    last: int
    score: float


@dataclass(frozen=True)
class WindowScores:
    """What was found in one window.

    :param window: The window.
    :param spans: The best spans, best first.
    :param null: The score of "not in this window": start and end at the first token; 0 where the model has no such.
    """

    window: Window
    spans: list[ScoredSpan]
    null: float


def score_windows(
    start_logits: FloatArray,
    end_logits: FloatArray,
    windows: Sequence[Window],
    null_tokens: NDArray[np.bool_],
    *,
    max_answer_length: int,
    count: int,
) -> list[WindowScores]:
    """Score the best spans of a batch of windows.

    Start and end are each a softmax over the window's context tokens and its null token, so that scores of different
    windows are on different scales; that is what transformers 4 did, and what callers of this pipeline expect.

    :param start_logits: float32, shape (windows, tokens).
    :param end_logits: float32, the same shape.
    :param windows: The windows of the rows.
    :param null_tokens: Where the `[CLS]` tokens are, the same shape.
    :param max_answer_length: The most tokens of a span.
    :param count: How many spans to keep of each window.
    :returns: The scores of each window.
    """
    columns = np.arange(start_logits.shape[1])[None, :]
    first = np.array([window.offset for window in windows])[:, None]
    stop = np.array([window.offset + window.last - window.first for window in windows])[:, None]
    counted = null_tokens | ((columns >= first) & (columns < stop))
    total = _log_sum(start_logits, counted) + _log_sum(end_logits, counted)
    null = start_logits[:, 0].astype(np.float64) + end_logits[:, 0] - total
    found = best_spans(start_logits, end_logits, windows, max_answer_length=max_answer_length, count=count)
    return [
        WindowScores(
            window,
            [ScoredSpan(span.first, span.last, float(np.exp(span.logit - total[row]))) for span in found[row]],
            float(np.exp(null[row])) if null_tokens[row, 0] else 0.0,
        )
        for row, window in enumerate(windows)
    ]


def _log_sum(logits: FloatArray, counted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Logarithm of the summed exponentials of a row's counted columns: shape (windows,)."""
    values = np.where(counted, logits, -np.inf).astype(np.float64)
    highest = values.max(axis=1)
    return np.asarray(highest + np.log(np.exp(values - highest[:, None]).sum(axis=1)), dtype=np.float64)
