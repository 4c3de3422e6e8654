import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lodestone.evaluation.bootstrap import confidence_interval, paired_difference

VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=50)


def test_intervals_hold_the_true_mean_about_as_often_as_they_say() -> None:
    random = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        low, high = confidence_interval(random.uniform(size=200) < 0.7, samples=400, level=0.9)
        held += low <= 0.7 <= high
    assert 0.84 <= held / 200 <= 0.96


@given(values=VALUES)
def test_an_interval_lies_within_the_values_and_is_the_same_every_time(values: list[float]) -> None:
    low, high = confidence_interval(values, samples=50)
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9
    assert (low, high) == confidence_interval(values, samples=50)
    assert confidence_interval(values, samples=50, level=0.5)[1] <= high


def test_more_questions_than_fit_one_chunk_are_drawn_like_few(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.linspace(0, 1, 300)
    whole = confidence_interval(values, samples=2000)
    monkeypatch.setattr("lodestone.evaluation.bootstrap._CHUNK", 1000)
    assert confidence_interval(values, samples=2000) == pytest.approx(whole, abs=0.01)


def test_the_permutation_test_counts_swaps_that_are_as_large() -> None:
    # Three questions gained, none lost: of 8 ways to swap, 2 are as large.
    result = paired_difference([0, 0, 0, 1], [1, 1, 1, 1], samples=20_000)
    assert result.difference == 0.75
    assert result.p_value == pytest.approx(0.25, abs=0.01)
    assert 0 <= result.low <= 0.75 <= result.high <= 1


def test_a_clear_difference_is_significant_and_none_is_not() -> None:
    random = np.random.default_rng(0)
    worse = random.uniform(size=1000) < 0.5
    better = worse | (random.uniform(size=1000) < 0.1)
    assert paired_difference(worse, better, samples=999).p_value == pytest.approx(0.001)
    same = paired_difference(worse, worse, samples=999)
    assert (same.difference, same.low, same.high, same.p_value) == (0, 0, 0, 1)


@given(values=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30))
def test_swapping_the_runs_turns_the_difference_round(values: list[tuple[float, float]]) -> None:
    first, second = [a for a, _ in values], [b for _, b in values]
    there, back = (paired_difference(*pair, samples=50) for pair in ((first, second), (second, first)))
    assert there.difference == -back.difference
    assert there.p_value == back.p_value


def test_runs_over_other_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="same questions, got 2 and 1"):
        paired_difference([1, 0], [1])
    with pytest.raises(ValueError, match="at least one number"):
        confidence_interval([])
