import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lodestone.components.errors import ConfigurationError
from lodestone.components.readers.normalize import normalize_answer
from lodestone.evaluation.squad import Question, exact_match, f1, read_entries, read_squad


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


PARAGRAPH = {"context": "text", "qas": [{"id": "1", "question": "Who?", "answers": []}]}


def squad_file(folder: Path, *paragraphs: object) -> Path:
    file = folder / "squad.json"
    file.write_text(json.dumps({"data": [{"title": "t", "paragraphs": paragraphs}]}))
    return file


@pytest.mark.parametrize(
    ("paragraph", "says"),
    [
        ([], r"data\[0\]\.paragraphs\[1\] is malformed: it must be an object, got a list"),
        ({"qas": []}, r"paragraphs\[1\] is malformed: it has no `context`"),
        ({"context": 3, "qas": []}, r"paragraphs\[1\] is malformed: `context` must be a text, got a number"),
        ({"context": "text", "qas": {}}, r"paragraphs\[1\] is malformed: `qas` must be a list, got an object"),
        ({"context": "\ud800", "qas": []}, r"paragraphs\[1\] is malformed: `context` holds half a surrogate pair"),
        ({"context": "text", "qas": [{"id": "\ud800"}]}, r"qas\[0\] is malformed: `id` holds half a surrogate pair"),
        ({"context": "text", "qas": [{}]}, r"paragraphs\[1\]\.qas\[0\] is malformed: `id` must be a text, got nothing"),
        ({"context": "text", "qas": [{"id": "q7"}]}, r"qas\[0\] \(id 'q7'\) is malformed: it has no `question`"),
        (
            {"context": "text", "qas": [{"id": "q7", "question": "Who?", "answers": [{"text": None}]}]},
            r"\(id 'q7'\)\.answers\[0\] is malformed: `text` must be a text, got nothing",
        ),
        (
            PARAGRAPH,
            r"paragraphs\[1\]\.qas\[0\] has the id '1' of data\[0\]\.paragraphs\[0\]\.qas\[0\]; ids must differ",
        ),
    ],
)
def test_a_malformed_file_is_refused_with_the_place(tmp_path: Path, paragraph: object, says: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"squad\.json: .*{says}"):
        list(read_squad(squad_file(tmp_path, PARAGRAPH, paragraph)))


@pytest.mark.parametrize(
    ("context", "entry", "says"),
    [
        ("text", {"question": " ", "answers": []}, "has no text"),
        ("\n", {"question": "Who?", "answers": []}, "has an empty context"),
        ("text", {"question": "Who?", "answers": [{"text": "t"}], "is_impossible": True}, "though it is_impossible"),
        ("text", {"question": "Who?", "is_impossible": 1}, "says is_impossible: 1, which must be true or false"),
    ],
)
def test_a_question_that_cannot_be_asked_or_contradicts_itself_is_refused(
    tmp_path: Path, context: str, entry: dict[str, object], says: str
) -> None:
    file = squad_file(tmp_path, PARAGRAPH, {"context": context, "qas": [{"id": "q7", **entry}]})
    with pytest.raises(ConfigurationError, match=rf"squad\.json: question 'q7' .*{says}"):
        list(read_squad(file))
    assert len(list(read_entries(file))) == 2


def test_what_other_data_have_beside_squads_entries_is_left_aside(tmp_path: Path) -> None:
    # As AdversarialQA, SQuADShifts, XQuAD and conversions of other data have it.
    answers = [{"text": "Ida Holm", "answer_start": 0, "token": 1}]
    question = {"id": 7, "question": "Who?", "answers": answers, "metadata": {"split": "dev"}, "is_impossible": False}
    plausible = {"id": "a-turk0", "question": "Who?", "plausible_answers": answers, "is_impossible": True}
    paragraph = {"context": "Ida Holm", "document_id": 3, "qas": [question, plausible]}
    file = tmp_path / "other.json"
    file.write_text(json.dumps({"data": [{"paragraphs": [paragraph], "split": "x"}]}), encoding="utf-8-sig")
    assert list(read_squad(file)) == [
        Question("7", "Who?", "Ida Holm", ("Ida Holm",)),
        Question("a-turk0", "Who?", "Ida Holm", ()),
    ]


@pytest.mark.parametrize("data", [{"data": []}, {"data": [{"paragraphs": []}]}])
def test_a_file_without_questions_is_refused(data: object, tmp_path: Path) -> None:
    (tmp_path / "squad.json").write_text(json.dumps(data))
    with pytest.raises(ConfigurationError, match="holds no questions"):
        list(read_squad(tmp_path / "squad.json"))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.json does not exist"):
        list(read_squad(tmp_path / "gone.json"))
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        list(read_squad(tmp_path))
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="not UTF-8 at byte 0"):
        list(read_squad(tmp_path / "binary.json"))


@pytest.mark.parametrize("content", ["", "[]", "{}", "not json", '{"data": {}}', "[" * 100_000])
def test_a_file_that_is_no_squad_file_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "squad.json").write_text(content)
    with pytest.raises(ConfigurationError, match="not a SQuAD file"):
        list(read_squad(tmp_path / "squad.json"))


def test_every_question_of_a_real_file_is_read(shared: Path) -> None:
    questions = list(read_squad(shared / "data" / "qa" / "dev" / "squad2_dev_a.json"))
    assert len(questions) == 6078
    assert sum(not question.answers for question in questions) == 3168
    assert all(answer in question.context for question in questions for answer in question.answers)
