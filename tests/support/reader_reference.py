"""The reader written the slow, obvious way with plain transformers code: what ours is compared with."""

from typing import Any

import numpy as np
import torch


def all_spans(start: np.ndarray, end: np.ndarray, first: int, stop: int, longest: int) -> list[tuple[float, int, int]]:
    """Every span of a window by brute force: logit, first and last position, best first."""
    found = [
        (float(np.float32(start[s]) + np.float32(end[e])), s, e)
        for s in range(first, stop)
        for e in range(s, min(s + longest, stop))
    ]
    return sorted(found, key=lambda span: (-span[0], span[1], span[2]))


def read(
    model: Any, tokenizer: Any, question: str, passage: str, length: int, stride: int, longest: int, count: int
) -> list[tuple[float, int, int]]:
    """Margin, first and last character of the best spans of each window of a passage, one window at a time."""
    encoded = tokenizer(
        question,
        passage,
        truncation="only_second",
        max_length=length,
        stride=stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    takes = set(tokenizer.model_input_names)
    spans = []
    for window in range(len(encoded["input_ids"])):
        inputs = {name: torch.tensor([encoded[name][window]]) for name in takes}
        with torch.inference_mode():
            output = model(**inputs)
        start, end = output.start_logits[0].numpy(), output.end_logits[0].numpy()
        inside = [i for i, part in enumerate(encoded.sequence_ids(window)) if part == 1]
        offsets = encoded["offset_mapping"][window]
        null = float(start[0] + end[0])
        for logit, s, e in all_spans(start, end, inside[0], inside[-1] + 1, longest)[:count]:
            spans.append((logit - null, offsets[s][0], offsets[e][1]))
    return spans
