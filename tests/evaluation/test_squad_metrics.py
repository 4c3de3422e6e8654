import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lodestone.components.errors import ConfigurationError
from lodestone.evaluation.squad import Question
from lodestone.evaluation.squad_metrics import squad_metrics

GOLD = [("Ida Holm", "Holm"), (), ("four hours",), (), ("the Thames river",), ("the",)]
PREDICTIONS = ["Holm!", "in 1911", "four", "", "Thames", "a"]
NONE = [0.1, 0.7, 0.4, 0.9, 0.8, 0.3]


def questions(gold: list[tuple[str, ...]]) -> list[Question]:
    return [Question(str(number), "Who?", "text", answers) for number, answers in enumerate(gold)]


def test_the_figures_are_those_of_the_official_script() -> None:
    # What `squad_evaluate` of transformers 4.57 gives for these predictions.
    assert squad_metrics(questions(GOLD), PREDICTIONS, NONE, 0.5) == {
        "exact": 66.66666666666667,
        "f1": 77.77777777777777,
        "total": 6,
        "HasAns_exact": 50.0,
        "HasAns_f1": 66.66666666666666,
        "HasAns_total": 4,
        "NoAns_exact": 100.0,
        "NoAns_f1": 100.0,
        "NoAns_total": 2,
        "best_exact": 66.66666666666667,
        "best_exact_thresh": 0.3,
        "best_f1": 77.77777777777779,
        "best_f1_thresh": 0.4,
    }


def test_without_probabilities_predictions_count_as_they_are() -> None:
    # As above.
    assert squad_metrics(questions(GOLD), PREDICTIONS) == {
        "exact": 50.0,
        "f1": 72.22222222222221,
        "total": 6,
        "HasAns_exact": 50.0,
        "HasAns_f1": 83.33333333333333,
        "HasAns_total": 4,
        "NoAns_exact": 50.0,
        "NoAns_f1": 50.0,
        "NoAns_total": 2,
        "best_exact": 50.0,
        "best_exact_thresh": 0.0,
        "best_f1": 72.22222222222221,
        "best_f1_thresh": 0.0,
    }


def test_kinds_of_questions_that_do_not_occur_are_left_out() -> None:
    figures = squad_metrics(questions([("Holm",)]), ["Holm"])
    assert not [name for name in figures if name.startswith("NoAns")]
    assert not [name for name in squad_metrics(questions([()]), [""]) if name.startswith("HasAns")]


CASES = st.lists(
    st.tuples(
        st.sampled_from(["Holm", "Ida Holm", "", "1911"]), st.sampled_from([(), ("Holm",), ("Ida Holm", "1911")])
    ),
    min_size=1,
    max_size=30,
)


@given(cases=CASES, seed=st.randoms(use_true_random=False))
def test_the_best_figures_are_those_of_the_best_threshold(
    cases: list[tuple[str, tuple[str, ...]]], seed: random.Random
) -> None:
    none = [(place + 1) / (len(cases) + 1) for place in range(len(cases))]
    seed.shuffle(none)
    asked, predictions = questions([gold for _, gold in cases]), [text for text, _ in cases]
    figures = squad_metrics(asked, predictions, none)
    for name in ("exact", "f1"):
        reached = [squad_metrics(asked, predictions, none, threshold)[name] for threshold in [0.0, *none]]
        assert figures[f"best_{name}"] == pytest.approx(max(reached))
        at_best = squad_metrics(asked, predictions, none, figures[f"best_{name}_thresh"])
        assert at_best[name] == pytest.approx(figures[f"best_{name}"])


@given(cases=CASES)
def test_the_total_is_made_of_both_kinds(cases: list[tuple[str, tuple[str, ...]]]) -> None:
    figures = squad_metrics(questions([gold for _, gold in cases]), [text for text, _ in cases])
    parts = [
        (figures[f"{kind}_f1"], figures[f"{kind}_total"]) for kind in ("HasAns", "NoAns") if f"{kind}_f1" in figures
    ]
    assert figures["f1"] == pytest.approx(sum(f1 * count for f1, count in parts) / figures["total"])


@pytest.mark.parametrize(("predictions", "none"), [([], None), (["Holm"], [])])
def test_predictions_must_match_the_questions(predictions: list[str], none: list[float] | None) -> None:
    with pytest.raises(ConfigurationError, match="as many predictions"):
        squad_metrics(questions([("Holm",)]), predictions, none)
