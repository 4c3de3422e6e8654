import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lodestone.components.errors import ConfigurationError
from lodestone.evaluation.judging import checked_threshold, judge_answering, judge_reading
from lodestone.evaluation.records import Guess, Record


def record(
    number: int,
    accepted: tuple[str, ...],
    guesses: list[tuple[str, float]],
    none: float,
    *,
    calibrated: bool = True,
    **found: int | str,
) -> Record:
    given = tuple(Guess(text, score, f"{text}.txt") for text, score in guesses)
    return Record(str(number), "Who?", accepted, given, none, calibrated, **found)  # type: ignore[arg-type]


# Partly right, missed, wrong, rightly none, made up, and nothing given.
RECORDS = [
    record(1, ("Holm",), [("Ida Holm", 0.8), ("Holm", 0.1)], 0.1, source="Ida Holm.txt", answer_rank=1, source_rank=1),
    record(2, ("Holm",), [("Holm", 0.3)], 0.6, source="b.txt", answer_rank=3, source_rank=2),
    record(3, ("1911",), [("1912", 0.6), ("the 1911", 0.2)], 0.1, source="c.txt"),
    record(4, (), [("Holm", 0.2)], 0.8),
    record(5, (), [("Holm", 0.7)], 0.3),
    record(6, ("Lind",), [], 1.0, source="d.txt", answer_rank=6),
]


def test_figures_by_hand() -> None:
    figures = judge_reading(RECORDS, 0.5).metrics
    assert figures["exact"] == pytest.approx(100 / 6)
    assert figures["f1"] == pytest.approx(100 * (2 / 3 + 1) / 6)
    assert (figures["HasAns_total"], figures["NoAns_exact"]) == (4, 50)
    assert figures["right"] == pytest.approx(1 / 6)
    assert figures["no_answer_above_0.5"] == pytest.approx(3 / 6)
    assert judge_reading(RECORDS, 1.0).metrics["no_answer_above_0.5"] == pytest.approx(3 / 6)
    # No answer: 0.8 and 0.3 against 0.1, 0.6, 0.1 and 1.0.
    assert figures["no_answer_auroc"] == pytest.approx((3 + 2) / 8)
    # Right: 0.3 against 0.8, 0.6, 0.2, 0.7 and 0.0.
    assert figures["right_auroc"] == pytest.approx(2 / 5)
    assert figures["brier"] == pytest.approx((0.64 + 0.49 + 0.36 + 0.04 + 0.49 + 0) / 6)
    assert (figures["above_0.7"], figures["right_above_0.7"]) == (pytest.approx(1 / 6), 0)
    assert "right_above_0.8" not in figures
    assert figures["coverage_at_0.8"] == 0


def test_what_scores_are_worth_has_intervals_and_the_error_that_perfect_ones_would_show() -> None:
    random = np.random.default_rng(0)
    scores = random.uniform(size=400)
    records = [
        record(n, ("Holm",), [("Holm" if random.uniform() < score else "Lind", score)], 0.1)
        for n, score in enumerate(scores)
    ]
    judged = judge_reading(records, 0.5)
    for name in ("ece", "right_auroc", "aurc", "brier", "log_loss", "coverage_at_0.8", "above_0.8", "right_above_0.8"):
        low, high = judged.intervals[name]
        assert low <= judged.metrics[name] <= high, name
        assert 0 < high - low < 0.4, name
    low, high = judged.intervals["ece_of_perfect"]
    assert low <= judged.metrics["ece"] <= high
    # All have an answer.
    assert "no_answer_auroc" not in judged.intervals


def test_answers_further_down_and_retrieval_by_hand() -> None:
    judged = judge_answering(RECORDS, 0.5)
    figures = judged.metrics
    assert [figures[f"exact@{k}"] for k in (1, 3, 5)] == [25, 75, 75]
    assert figures["f1@1"] == pytest.approx(100 * (2 / 3 + 1) / 4)
    assert [figures[f"answer_recall@{k}"] for k in (1, 3, 5)] == [0.25, 0.5, 0.5]
    assert figures["answer_recall"] == 0.75
    assert (figures["document_recall"], figures["right_document"]) == (0.5, 0.25)
    assert "answer_recall" not in judged.measures[3]  # it has no answer


def test_intervals_hold_the_figures_they_are_of() -> None:
    judged = judge_answering(RECORDS * 5, 0.5)
    assert {"exact", "HasAns_f1", "NoAns_exact", "right", "brier", "f1@5", "answer_recall"} <= judged.intervals.keys()
    for name, (low, high) in judged.intervals.items():
        assert low <= judged.metrics[name] <= high, name


def test_where_all_have_an_answer_the_best_quote_counts_and_else_the_likelier() -> None:
    assert checked_threshold(None, RECORDS) == 0.5
    assert checked_threshold(None, RECORDS[:3]) == 1.0
    assert judge_reading(RECORDS[:3], 1.0).metrics["exact"] == pytest.approx(100 / 3)
    assert checked_threshold(0.2, RECORDS) == 0.2
    with pytest.raises(ConfigurationError, match=r"between 0 and 1, got 1\.5"):
        checked_threshold(1.5, RECORDS)


@given(none=st.floats(0, 1), margin=st.floats(-1000, 1000))
def test_no_answer_is_said_where_it_is_likelier_than_not_or_than_the_best_margin(none: float, margin: float) -> None:
    assert record(1, (), [("Holm", 0.9 * (1 - none))], none).no_answer == none
    uncalibrated = record(1, (), [("Holm", margin)], 0.0, calibrated=False).no_answer
    assert 0 <= uncalibrated <= 1
    assert uncalibrated > 0.5 or margin > -1e-9
    assert uncalibrated < 0.5 or margin < 1e-9


def test_margins_rank_answers_but_are_no_probabilities() -> None:
    records = [record(n, ("Holm",), [("Holm", float(n))], 0.0, calibrated=False) for n in (-3, 2, 5)]
    records += [record(7, (), [("Holm", -4.0)], 0.0, calibrated=False), record(8, (), [], 0.0, calibrated=False)]
    figures = judge_reading(records, 0.5).metrics
    assert not {"ece", "brier", "log_loss", "above_0.8"} & figures.keys()
    assert (figures["right_auroc"], figures["no_answer_auroc"], figures["aurc"]) == (1, 1, pytest.approx(0.13))
    assert all(math.isfinite(value) for value in figures.values())


def test_a_record_comes_back_from_its_json() -> None:
    for each in RECORDS:
        assert Record.from_dict({**each.to_dict(), "measures": {}}) == each
