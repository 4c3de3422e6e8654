import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lodestone.components.readers.calibration import Calibration
from lodestone.evaluation.calibration import fit_scale_and_offset


def test_the_fit_finds_the_parameters_that_made_the_data() -> None:
    random = np.random.default_rng(0)
    truth = Calibration(0.7, -1.5)
    margins = [random.normal(0, 4, size=random.integers(1, 6)) for _ in range(20_000)]
    right: list[int | None] = []
    for each in margins:
        answers, none = truth.distribution(list(each))
        drawn = int(random.choice(len(each) + 1, p=[*answers, none]))
        right.append(drawn if drawn < len(each) else None)
    scale, offset = fit_scale_and_offset(margins, right)
    assert scale == pytest.approx(0.7, abs=0.03)
    assert offset == pytest.approx(-1.5, abs=0.06)


@pytest.mark.parametrize("right", [[0, 0], [None, None]])
def test_one_kind_of_question_is_not_enough(right: list[int | None]) -> None:
    with pytest.raises(ValueError, match="with and without a right answer"):
        fit_scale_and_offset([[1.0], [2.0]], right)


@given(margins=st.lists(st.floats(-500, 500), max_size=30), scale=st.floats(0.01, 10), offset=st.floats(-20, 20))
def test_answers_and_no_answer_share_one_probability_and_keep_the_order(
    margins: list[float], scale: float, offset: float
) -> None:
    answers, none = Calibration(scale, offset).distribution(margins)
    assert sum(answers) + none == pytest.approx(1)
    assert all(0 <= p <= 1 for p in [*answers, none])
    order = sorted(range(len(margins)), key=lambda i: margins[i])
    assert [answers[i] for i in order] == sorted(answers)
