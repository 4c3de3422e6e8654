import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lodestone.evaluation.calibration_metrics import (
    auroc,
    average_precision,
    brier_score,
    coverage_at_accuracy,
    error_of_perfect,
    expected_calibration_error,
    log_loss,
    reliability_curve,
    right_above,
    risk_coverage,
)

ANSWERS = st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.7, 0.9, 1.0]), st.booleans()), min_size=1, max_size=60)


def test_perfect_probabilities_have_no_calibration_error_and_wrong_ones_do() -> None:
    random = np.random.default_rng(0)
    p = random.uniform(size=100_000)
    right = random.uniform(size=100_000) < p
    assert expected_calibration_error(p, right) < 0.01
    assert expected_calibration_error(np.full(1000, 0.9), np.zeros(1000)) == pytest.approx(0.9)


def test_perfect_probabilities_show_the_error_of_their_number() -> None:
    few, many = (error_of_perfect(np.random.default_rng(1).random(count))[0] for count in (100, 10_000))
    assert few > 5 * many
    p = np.random.default_rng(2).random(500)
    inside = 0
    for seed in range(100):
        error = expected_calibration_error(p, np.random.default_rng(seed).random(500) < p)
        mean, low, high = error_of_perfect(p, 200)
        inside += low <= error <= high
    assert low < mean < high
    assert 85 <= inside <= 100


def test_bins_hold_equally_many_answers_from_the_lowest_probability_up() -> None:
    bins = reliability_curve([0.9, 0.1, 0.3, 0.7, 0.8], [1, 0, 1, 0, 1], bins=2)
    assert [(each.lowest, each.highest, each.count) for each in bins] == [(0.1, 0.7, 3), (0.8, 0.9, 2)]
    assert bins[0].stated == pytest.approx(1.1 / 3)
    assert bins[0].right == pytest.approx(1 / 3)
    assert expected_calibration_error([0.9, 0.1, 0.3, 0.7, 0.8], [1, 0, 1, 0, 1], bins=2) == pytest.approx(
        (3 * (1.1 / 3 - 1 / 3) + 2 * 0.15) / 5
    )


def test_brier_score_and_log_loss_by_hand() -> None:
    assert brier_score([1.0, 0.5, 0.2], [1, 0, 1]) == pytest.approx((0 + 0.25 + 0.64) / 3)
    assert log_loss([0.5, 0.8], [1, 0]) == pytest.approx(-(np.log(0.5) + np.log(0.2)) / 2)
    assert log_loss([0.0], [1]) < 35


def test_risk_and_coverage_by_hand() -> None:
    curve = risk_coverage([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0])
    assert curve.coverage == pytest.approx([0.25, 0.5, 0.75, 1])
    assert curve.risk == pytest.approx([0, 1 / 2, 1 / 3, 1 / 2])
    assert curve.area == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)


@given(answers=ANSWERS, seed=st.integers(0, 99))
def test_the_order_of_equal_scores_does_not_matter(answers: list[tuple[float, bool]], seed: int) -> None:
    scores, right = np.array([s for s, _ in answers]), np.array([y for _, y in answers])
    order = np.random.default_rng(seed).permutation(len(scores))
    curve, shuffled = risk_coverage(scores, right), risk_coverage(scores[order], right[order])
    assert shuffled.risk == pytest.approx(curve.risk)
    assert curve.risk[-1] == pytest.approx(1 - right.mean())
    assert coverage_at_accuracy(scores, right, 0.8) == coverage_at_accuracy(scores[order], right[order], 0.8)


@given(answers=ANSWERS, accuracy=st.floats(0, 1))
def test_coverage_is_that_of_the_best_threshold(answers: list[tuple[float, bool]], accuracy: float) -> None:
    scores, right = np.array([s for s, _ in answers]), np.array([y for _, y in answers])
    let_through = [scores >= threshold for threshold in scores]
    expected = max((mask.mean() for mask in let_through if right[mask].mean() >= accuracy), default=0.0)
    assert coverage_at_accuracy(scores, right, accuracy) == pytest.approx(expected)


def test_answers_above_a_probability_are_those_strictly_above_it() -> None:
    assert right_above([0.9, 0.8, 0.85, 0.1], [1, 1, 0, 1], 0.8) == (0.5, 0.5)
    assert right_above([0.5], [1], 0.8) == (0.0, None)


@given(answers=ANSWERS)
def test_auroc_counts_the_pairs_in_order(answers: list[tuple[float, bool]]) -> None:
    right, wrong = ([s for s, y in answers if y is kind] for kind in (True, False))
    area = auroc([s for s, _ in answers], [y for _, y in answers])
    if not right or not wrong:
        assert area is None
        return
    pairs = [1.0 if r > w else 0.5 if r == w else 0.0 for r in right for w in wrong]
    assert area == pytest.approx(sum(pairs) / len(pairs))


def test_average_precision_by_hand() -> None:
    assert average_precision([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0]) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision([0.9, 0.8], [1, 1]) is None


@pytest.mark.parametrize(("scores", "right"), [([], []), ([0.5], [1, 0])])
def test_lists_that_do_not_match_are_refused(scores: list[float], right: list[int]) -> None:
    with pytest.raises(ValueError, match="two lists of one length"):
        brier_score(scores, right)


def test_answers_count_what_they_weigh() -> None:
    scores, right, weights = [0.2, 0.4, 0.9], [0.0, 1.0, 1.0], [0.5, 1.5, 1.0]
    counted = [0.2] * 1 + [0.4] * 3 + [0.9] * 2, [0.0] + [1.0] * 5
    assert brier_score(scores, right, weights) == pytest.approx(brier_score(*counted))
    assert log_loss(scores, right, weights) == pytest.approx(log_loss(*counted))
    weighed = expected_calibration_error(scores, right, bins=1, weights=weights)
    assert weighed == pytest.approx(expected_calibration_error(*counted, bins=1))
    many = np.linspace(0.05, 0.95, 300)
    one, same = error_of_perfect(many)[0], error_of_perfect(many, weights=np.ones(300))[0]
    assert same == pytest.approx(one, rel=0.05)
    # As few heavy answers as a third of them are worth less than all.
    assert error_of_perfect(many, weights=np.tile([2.8, 0.1, 0.1], 100))[0] > 1.3 * one
