import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from lodestone.evaluation.calibration_metrics import reliability_curve, risk_coverage
from lodestone.evaluation.tally import Scored, Tally

ANSWERS = st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.7, 0.9, 1.0]), st.booleans()), min_size=1, max_size=40)


def figures(tally: Tally) -> dict[str, np.ndarray]:
    above = tally.above(0.6)
    return {
        "auroc": tally.auroc(),
        "average precision": tally.average_precision(),
        "area": tally.risk_area(),
        "coverage": tally.coverage(0.8),
        "error": tally.calibration_error(7),
        "share above": above[0],
        "right above": above[1],
    }


@settings(deadline=None)
@given(answers=ANSWERS, seed=st.integers(0, 99))
def test_a_resample_has_the_figures_of_the_list_that_it_stands_for(
    answers: list[tuple[float, bool]], seed: int
) -> None:
    scores, right = np.array([s for s, _ in answers]), np.array([float(y) for _, y in answers])
    drawn = np.random.default_rng(seed).integers(0, len(scores), size=(3, len(scores)))
    counts = np.array([np.bincount(row, minlength=len(scores)) for row in drawn])
    many = figures(Scored(scores, right).tally(counts))
    for number, row in enumerate(drawn):
        one = figures(Scored(scores[row], right[row]).tally())
        for name, values in one.items():
            assert many[name][number] == pytest.approx(values[0], nan_ok=True, abs=1e-12), name


@settings(deadline=None)
@given(answers=ANSWERS)
def test_figures_are_those_of_scikit_learn_and_of_the_curves(answers: list[tuple[float, bool]]) -> None:
    scores, right = [s for s, _ in answers], [float(y) for _, y in answers]
    found = figures(Scored(scores, right).tally())
    if 0 < sum(right) < len(right):
        assert found["auroc"][0] == pytest.approx(roc_auc_score(right, scores))
        assert found["average precision"][0] == pytest.approx(average_precision_score(right, scores))
    else:
        assert np.isnan(found["auroc"][0])
        assert np.isnan(found["average precision"][0])
    assert found["area"][0] == pytest.approx(risk_coverage(scores, right).risk.mean())
    curve = reliability_curve(scores, right, 7)
    error = sum(each.count * abs(each.stated - each.right) for each in curve) / len(right)
    assert found["error"][0] == pytest.approx(error, abs=1e-12)


def test_answers_of_one_probability_have_no_error_of_their_order() -> None:
    right = [1.0, 0.0] * 50
    assert Scored([0.5] * 100, right).tally().calibration_error(15)[0] == pytest.approx(0)
    assert Scored([0.5] * 100, sorted(right)).tally().calibration_error(15)[0] == pytest.approx(0)


def test_outcomes_drawn_from_probabilities_come_true_as_often_as_these_say() -> None:
    p = np.random.default_rng(0).uniform(size=2000)
    (drawn,) = Scored(p, np.zeros(2000)).perfect(50)
    assert drawn.right.shape == (50, 2000)
    assert drawn.right.mean() == pytest.approx(p.mean(), abs=0.01)
    assert drawn.auroc() == pytest.approx(np.full(50, 0.83), abs=0.04)


def test_outcomes_that_come_in_parts_are_those_that_come_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    p = np.random.default_rng(0).uniform(size=200)
    (whole,) = Scored(p, np.zeros(200)).perfect(50)
    monkeypatch.setattr("lodestone.evaluation.tally._CHUNK", 200 * 20)
    parts = list(Scored(p, np.zeros(200)).perfect(50))
    assert [len(part.right) for part in parts] == [20, 20, 10]
    assert (np.concatenate([part.right for part in parts]) == whole.right).all()
