from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lodestone.components.errors import ConfigurationError
from lodestone.components.readers.tokens import PairTemplate, PassageTokens
from lodestone.components.readers.windows import Window, cut, fill, pack

PAIR = PairTemplate((1,), (2, 2), (2,), 0, 1, (0, 0), (1,), 9)


@given(tokens=st.integers(0, 900), question=st.integers(0, 20), stride=st.integers(0, 40), room=st.integers(41, 100))
def test_windows_hold_every_token_and_neighbours_share_the_stride(
    tokens: int, question: int, stride: int, room: int
) -> None:
    length = room + question + PAIR.special_tokens
    windows = cut(0, 0, tokens, question_tokens=question, template=PAIR, length=length, stride=stride)

    assert {at for window in windows for at in range(window.first, window.last)} == set(range(tokens))
    assert all(0 < window.last - window.first <= room for window in windows)
    for left, right in pairwise(windows):
        assert left.last - right.first == stride
        assert right.last > left.last


def test_a_passage_without_tokens_gives_no_window() -> None:
    assert cut(0, 0, 0, question_tokens=3, template=PAIR, length=50, stride=5) == []


def test_windows_that_would_not_get_on_are_refused_with_the_numbers() -> None:
    with pytest.raises(ConfigurationError, match=r"max_seq_length 30 leaves 16 tokens .* stride of 20"):
        cut(0, 0, 100, question_tokens=10, template=PAIR, length=30, stride=20)


@given(sizes=st.lists(st.integers(1, 300), max_size=40), budget=st.integers(50, 2000), most=st.integers(1, 9))
def test_batches_hold_each_window_once_and_keep_to_the_token_budget(sizes: list[int], budget: int, most: int) -> None:
    windows = [
        window
        for passage, tokens in enumerate(sizes)
        for window in cut(0, passage, tokens, question_tokens=4, template=PAIR, length=120, stride=10)
    ]
    batches = list(pack(windows, max_tokens=budget, max_windows=most))

    key = lambda window: (window.passage, window.first)  # noqa: E731
    assert sorted((w for batch in batches for w in batch), key=key) == sorted(windows, key=key)
    for batch in batches:
        longest = max(w.offset + w.last - w.first for w in batch)
        assert len(batch) == 1 or len(batch) * longest <= budget
        assert len(batch) <= most


def test_long_windows_do_not_pad_many_short_ones_and_equal_ones_fill_batches() -> None:
    def lengths(sizes: list[int]) -> list[list[int]]:
        windows = [Window(0, passage, 0, size, 10) for passage, size in enumerate(sizes)]
        return [[window.last for window in batch] for batch in pack(windows, max_tokens=1000)]

    assert lengths([20] * 20 + [190]) == [[190], [20] * 20]
    assert lengths([90] * 25) == [[90] * 10, [90] * 10, [90] * 5]
    assert lengths([190, 189, 188, 187]) == [[190, 189, 188, 187]]
    assert lengths([5000, 10]) == [[5000], [10]]


def test_a_batch_holds_the_special_tokens_the_segments_and_the_padding() -> None:
    passages = [
        PassageTokens(*(np.arange(20, 25, dtype=np.int32) for _ in range(3))),
        PassageTokens(*(np.arange(30, 32, dtype=np.int32) for _ in range(3))),
    ]
    windows = [
        *cut(0, 0, 5, question_tokens=2, template=PAIR, length=50, stride=5),
        *cut(0, 1, 2, question_tokens=2, template=PAIR, length=50, stride=5),
    ]
    batch = fill(windows, [[7, 8]], passages, PAIR)

    assert batch.input_ids.tolist() == [
        [1, 7, 8, 2, 2, 20, 21, 22, 23, 24, 2],
        [1, 7, 8, 2, 2, 30, 31, 2, 9, 9, 9],
    ]
    assert batch.attention_mask.tolist() == [[1] * 11, [1] * 8 + [0] * 3]
    assert batch.token_type_ids.tolist() == [[0] * 5 + [1] * 6, [0] * 5 + [1] * 3 + [0] * 3]
