import numpy as np
import pytest

from lodestone.components.readers.calibration import Calibration
from lodestone.components.readers.evidence import EXACT, FOUND, WHICH, Evidence
from lodestone.evaluation.calibration import Labelled, adapt_calibration, fit_calibration, label, top_answers
from lodestone.evaluation.calibration_metrics import expected_calibration_error

TRUTH = Calibration.of(np.array([0.4, -0.8, 0.3]), np.array([0.5, -0.6, 1.2, 0.9]), np.array([1.5, -0.7, 2.5]))


def drawn(count: int, truth: Calibration = TRUTH, seed: int = 0) -> list[Labelled]:
    """Questions whose right answers were drawn from what a calibration says of them."""
    random = np.random.default_rng(seed)
    questions = []
    for _ in range(count):
        answers = int(random.integers(2, 6))
        which = np.stack(
            [random.normal(0, 4, answers), random.uniform(0, 2, answers), *random.uniform(0, 1, (2, answers))], axis=1
        )
        exact = np.stack([-random.exponential(1, answers), random.uniform(0.7, 2, answers)], axis=1)
        found = np.array([which[:, 0].max(), which[:, 3].max()])
        evidence = Evidence(("x",) * answers, found, which, exact)
        distribution = truth.distribution(evidence)
        place = int(random.choice(answers + 1, p=[*distribution.places, distribution.none]))
        near, right = np.zeros(answers, dtype=bool), np.zeros(answers, dtype=bool)
        if place < answers:
            near[place] = True
            right[place] = random.random() < distribution.answers[place] / distribution.places[place]
        questions.append(Labelled(evidence, place if place < answers else None, near, right))
    return questions


def test_the_fit_finds_the_weights_that_made_the_data() -> None:
    fitted = fit_calibration(drawn(6000))
    for part, tolerance in (("found", 0.15), ("which", 0.35), ("exact", 0.3)):
        assert fitted.weights(part) == pytest.approx(TRUTH.weights(part), abs=tolerance)


def test_a_hundred_questions_of_another_domain_bring_a_calibration_to_it_and_keep_what_it_knew() -> None:
    other = Calibration.of(
        TRUTH.weights("found") + np.array([0, 0, 1.5]), TRUTH.weights("which"), TRUTH.weights("exact") - [0, 0, 2.0]
    )
    seen, unseen = drawn(100, other, seed=2), drawn(2000, other, seed=1)
    adapted = adapt_calibration(TRUTH, seen)
    before, after = (expected_calibration_error(*top_answers(each, unseen)[:2]) for each in (TRUTH, adapted))
    assert after < 0.6 * before
    for part in ("found", "which", "exact"):
        assert adapted.weights(part) == pytest.approx(TRUTH.weights(part))


def test_adapting_again_starts_from_what_was_adapted() -> None:
    other = drawn(
        200,
        Calibration.of(TRUTH.weights("found") + np.array([0, 0, 2.0]), TRUTH.weights("which"), TRUTH.weights("exact")),
    )
    once = adapt_calibration(TRUTH, other)
    twice = adapt_calibration(once, other)
    assert once.adapted["bias"] > 0.3
    assert twice.weights("adapted") == pytest.approx(once.weights("adapted"), abs=0.2)


def test_a_question_counts_as_often_as_its_weight_says() -> None:
    questions = drawn(60)
    twice = fit_calibration([*questions, *questions[:30]])
    weighted = fit_calibration(questions, weights=[2.0] * 30 + [1.0] * 30)
    for part in ("found", "which", "exact"):
        assert weighted.weights(part) == pytest.approx(twice.weights(part), abs=0.05)


@pytest.mark.parametrize("answered", [True, False])
def test_one_kind_of_question_is_not_enough(answered: bool) -> None:
    questions = [question for question in drawn(40) if (question.place is not None) == answered]
    with pytest.raises(ValueError, match="with and without a right answer"):
        fit_calibration(questions)


def test_an_answer_with_too_many_words_is_at_the_place_but_not_exact() -> None:
    evidence = Evidence(
        ("in Kirkhaven", "the red lighthouse of Kirkhaven", "Kirkhaven!"),
        np.zeros(len(FOUND)),
        np.zeros((3, len(WHICH))),
        np.zeros((3, len(EXACT))),
    )
    labelled = label(evidence, ["Kirkhaven"])
    assert labelled.near.tolist() == [True, False, True]
    assert labelled.exact.tolist() == [False, False, True]
    assert labelled.place == 0
    assert label(evidence, []).place is None
