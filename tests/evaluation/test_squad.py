import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lodestone.components.errors import ConfigurationError
from lodestone.components.readers.normalize import normalize_answer
from lodestone.evaluation.squad import exact_match, f1, read_squad


@pytest.mark.parametrize(
    ("prediction", "answers", "matches", "overlap"),
    [
        ("The Thames!", ["thames"], 1, 1),
        ("river Thames", ["the Thames", "Thames river"], 0, 1),
        ("four", ["four hours"], 0, 2 / 3),
        ("Ida Holm", ["Jon Lind"], 0, 0),
        ("", [], 1, 1),
        ("anything", [], 0, 0),
        ("", ["Ida Holm"], 0, 0),
        ("the", ["a"], 1, 1),
    ],
)
def test_scores_are_those_of_the_official_script(
    prediction: str, answers: list[str], matches: float, overlap: float
) -> None:
    assert exact_match(prediction, answers) == matches
    assert f1(prediction, answers) == pytest.approx(overlap)


@given(prediction=st.text(), answers=st.lists(st.text()))
def test_f1_lies_between_exact_match_and_one(prediction: str, answers: list[str]) -> None:
    assert exact_match(prediction, answers) <= f1(prediction, answers) <= 1


@given(answer=st.text(), others=st.lists(st.text()))
def test_an_accepted_answer_is_right(answer: str, others: list[str]) -> None:
    assert f1(answer, [answer, *others]) == 1 or not normalize_answer(answer)


def test_a_malformed_file_is_refused_with_the_place(tmp_path: Path) -> None:
    file = tmp_path / "squad.json"
    paragraph = {"context": "text", "qas": [{"id": "1", "question": "Who?", "answers": []}, {"id": "2"}]}
    file.write_text(json.dumps({"data": [{"paragraphs": [paragraph]}]}))
    with pytest.raises(ConfigurationError, match=r"squad\.json: data\[0\]\.paragraphs\[0\]\.qas\[1\]"):
        list(read_squad(file))


@pytest.mark.parametrize("content", ["", "[]", "{}", "not json"])
def test_a_file_that_is_no_squad_file_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "squad.json").write_text(content)
    with pytest.raises(ConfigurationError, match="not a SQuAD file"):
        list(read_squad(tmp_path / "squad.json"))


def test_every_question_of_a_real_file_is_read(shared: Path) -> None:
    questions = list(read_squad(shared / "data" / "qa" / "dev" / "squad2_dev_a.json"))
    assert len(questions) == 6078
    assert sum(not question.answers for question in questions) == 3168
    assert all(answer in question.context for question in questions for answer in question.answers)
