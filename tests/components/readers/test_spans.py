import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from reader_reference import all_spans

from lodestone.components.readers.spans import best_spans
from lodestone.components.readers.windows import Window


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.lists(st.tuples(st.integers(1, 12), st.integers(1, 60)), min_size=1, max_size=4),
    longest=st.integers(1, 80),
    count=st.integers(1, 400),
    coarse=st.booleans(),
)
def test_the_best_spans_are_those_of_a_brute_force_search(
    seed: int, sizes: list[tuple[int, int]], longest: int, count: int, coarse: bool
) -> None:
    random = np.random.default_rng(seed)
    width = max(offset + tokens for offset, tokens in sizes) + 1
    start, end = (random.normal(size=(len(sizes), width)).astype(np.float32) * 5 for _ in range(2))
    if coarse:  # many ties
        start, end = np.round(start / 5).astype(np.float32), np.round(end / 5).astype(np.float32)
    windows = [Window(0, row, 7, 7 + tokens, offset) for row, (offset, tokens) in enumerate(sizes)]

    found = best_spans(start, end, windows, max_answer_length=longest, count=count)

    for row, (offset, tokens) in enumerate(sizes):
        expected = all_spans(start[row], end[row], offset, offset + tokens, longest)[:count]
        assert [(span.logit, span.first - 7 + offset, span.last - 7 + offset) for span in found[row]] == expected
        null = np.float32(start[row, 0]) + np.float32(end[row, 0])
        assert all(span.margin == float(np.float32(span.logit) - null) for span in found[row])
