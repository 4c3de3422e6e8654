"""The best spans of a batch of windows, found without a matrix of every start by every end."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lodestone.components.engines.engine import FloatArray
from lodestone.components.readers.windows import Window


@dataclass(frozen=True)
class Span:
    """A span inside one window.

    :param window: The window.
    :param first: Index of its first token in the passage.
    :param last: Index of its last token in the passage.
    :param margin: Start plus end logit, less the window's null score.
    :param logit: Start plus end logit.
    """

    window: Window
    first: int
    last: int
    margin: float
    logit: float


def best_spans(
    start_logits: FloatArray, end_logits: FloatArray, windows: Sequence[Window], *, max_answer_length: int, count: int
) -> list[list[Span]]:
    """The best spans of each window, exactly.

    Every span of at most `max_answer_length` tokens is scored in a band of that width along the diagonal: memory and
    time grow with tokens times answer length instead of tokens squared.

    :param start_logits: float32, shape (windows, tokens).
    :param end_logits: float32, the same shape.
    :param windows: The windows of the rows.
    :param max_answer_length: The most tokens of a span.
    :param count: How many spans to keep of each window.
    :returns: For each window at most `count` spans, best first; of equal ones the earlier, then the shorter first.
    """
    rows = np.arange(len(windows))[:, None]
    columns = np.arange(start_logits.shape[1])[None, :]
    first = np.array([window.offset for window in windows])[:, None]
    stop = np.array([window.offset + window.last - window.first for window in windows])[:, None]
    inside = (columns >= first) & (columns < stop)
    starts = np.where(inside, start_logits, -np.inf).astype(np.float32)
    ends = np.where(inside, end_logits, -np.inf).astype(np.float32)

    width = min(max_answer_length, start_logits.shape[1])
    band = np.full((*starts.shape, width), -np.inf, dtype=np.float32)
    for length in range(width):
        band[:, : starts.shape[1] - length, length] = starts[:, : starts.shape[1] - length] + ends[:, length:]

    flat = band.reshape(len(windows), -1)
    keep = min(count, flat.shape[1])
    weakest = np.partition(flat, flat.shape[1] - keep, axis=1)[:, flat.shape[1] - keep]
    null = start_logits[:, 0] + end_logits[:, 0]
    found = []
    for row in rows[:, 0]:
        # Ties with the weakest are taken in too, so that which of them stay is decided by place, not by the partition.
        candidates = np.flatnonzero((flat[row] >= weakest[row]) & np.isfinite(flat[row]))
        order = candidates[np.argsort(-flat[row, candidates], kind="stable")][:keep]
        found.append([_span(windows[row], int(at), width, flat[row, at], null[row]) for at in order])
    return found


def _span(window: Window, at: int, width: int, logit: np.float32, null: np.float32) -> Span:
    column, length = divmod(at, width)
    first = window.first + column - window.offset
    return Span(window, first, first + length, float(logit - null), float(logit))
