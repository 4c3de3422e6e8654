import json
from pathlib import Path
from typing import Any

import pytest
import tiny_training

from lodestone.components.errors import ConfigurationError
from lodestone.training.data import load_data
from lodestone.training.recipe import Data, DataFile

CONTEXT = "Ida Holm built it. Ida Holm paid for it, and Ida Holms sailed it."


def write(file: Path, *entries: dict[str, Any], context: str = CONTEXT, **beside: Any) -> Path:
    given = [{"id": f"q{number}", "question": "Who?", **entry} for number, entry in enumerate(entries)]
    file.write_text(json.dumps({"data": [{"paragraphs": [{"context": context, "qas": given}]}], **beside}))
    return file


def answers(*places: tuple[str, Any]) -> dict[str, Any]:
    return {"answers": [{"text": text, "answer_start": start} for text, start in places]}


GOOD = answers(("Ida Holm", 0))


def loaded(*files: Path, **settings: Any) -> Any:
    return load_data(Data(tuple(DataFile(str(file)) for file in files), **settings))


def test_every_accepted_answer_is_kept_once(tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", answers(("Ida Holm", 0), ("Ida", 0), ("Ida Holm", 0), (" built it", 8)))
    assert loaded(file).examples[0].spans == ((0, 8), (0, 3), (9, 17))


def test_several_files_weigh_what_the_recipe_says(tmp_path: Path) -> None:
    one = write(tmp_path / "one.json", GOOD)
    two = write(tmp_path / "two.json", {**GOOD, "id": "other"})
    data = Data((DataFile(str(one)), DataFile(str(two), weight=0.25)))
    assert [(each.id, each.weight, Path(each.file).name) for each in load_data(data).examples] == [
        ("q0", 1.0, "one.json"),
        ("other", 0.25, "two.json"),
    ]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (answers(), "has no answer, and does not say is_impossible"),
        ({"is_impossible": False}, "has no answer"),
        ({**GOOD, "is_impossible": True}, "has answers though it is_impossible"),
        ({**GOOD, "is_impossible": "no"}, "is_impossible: 'no', which must be true or false"),
        (answers(("Ida Holm", 1)), "has the answer 'Ida Holm' at 1, where its context has 'da Holm '"),
        (answers(("Ida Holm", -9)), "at -9"),
        (answers(("Ida Holm", 10_000)), "where its context has ''"),
        (answers(("Ida Holm", "0")), "without a place (answer_start, which is '0' and must be a whole number)"),
        ({**GOOD, "start_ambiguous": "false"}, "says start_ambiguous: 'false', which must be true or false"),
        (answers(("Ida Holm", True)), "without a place"),
        ({"answers": [{"text": "Ida Holm"}]}, "without a place"),
        (answers(("  ", 3)), "has an empty answer"),
        ({**GOOD, "question": " "}, "has no text"),
        ({**GOOD, "id": "q0"}, "ids must differ"),
    ],
)
def test_a_bad_question_stops_the_run_with_file_and_id(tmp_path: Path, bad: dict[str, Any], reason: str) -> None:
    file = write(tmp_path / "a.json", GOOD, bad)
    with pytest.raises(ConfigurationError) as error:
        loaded(file)
    assert str(file) in str(error.value)
    assert repr(bad.get("id", "q1")) in str(error.value)
    assert reason in str(error.value)


def test_an_empty_context_is_bad(tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", {"is_impossible": True}, context=" \n")
    with pytest.raises(ConfigurationError, match="question 'q0' has an empty context"):
        loaded(file)


def test_bad_questions_are_left_out_and_listed_where_that_is_asked_for(tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", GOOD, answers(("Ida Holm", 1)), answers())
    data = loaded(file, bad="skip")
    assert [example.id for example in data.examples] == ["q0"]
    assert [(bad.file, bad.id) for bad in data.bad] == [(str(file), "q1"), (str(file), "q2")]
    with pytest.raises(ConfigurationError, match="no good question is left"):
        loaded(write(tmp_path / "b.json", answers()), bad="skip")


def test_an_id_may_not_occur_in_two_files(tmp_path: Path) -> None:
    one, two = write(tmp_path / "one.json", GOOD), write(tmp_path / "two.json", GOOD)
    with pytest.raises(ConfigurationError, match=r"two.json: question 'q0' has an id that .*one.json uses too"):
        loaded(one, two)


def test_a_long_list_of_bad_questions_is_cut(tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", *[answers() for _ in range(50)])
    with pytest.raises(ConfigurationError, match=r"50 bad questions[\s\S]*and 30 more") as error:
        loaded(file)
    assert len(str(error.value).splitlines()) < 30


def test_unanswerable_questions_are_refused_where_the_recipe_wants_none(tmp_path: Path) -> None:
    file = tiny_training.write_squad(tmp_path / "a.json", range(2))
    assert len(loaded(file).examples) == 6
    with pytest.raises(ConfigurationError, match=r"2 bad questions[\s\S]*'0-none' is unanswerable"):
        loaded(file, unanswerable=False)


@pytest.mark.parametrize("version", ["3.0", "v9", 2])
def test_a_file_of_an_unknown_version_is_refused(tmp_path: Path, version: Any) -> None:
    file = write(tmp_path / "a.json", GOOD, version=version)
    with pytest.raises(ConfigurationError, match=r"has version .*; known ones are 1.0, 1.1, 2.0"):
        loaded(file)


@pytest.mark.parametrize("version", ["1.1", "v2.0", "2.0"])
def test_known_versions_are_read(tmp_path: Path, version: str) -> None:
    assert loaded(write(tmp_path / "a.json", GOOD, version=version)).examples


@pytest.mark.parametrize(("choice", "spans"), [("every", [((0, 8), (19, 27))]), ("stated", [((0, 8),)]), ("drop", [])])
def test_an_ambiguous_start_is_read_as_the_recipe_says(
    tmp_path: Path, choice: str, spans: list[tuple[tuple[int, int], ...]]
) -> None:
    # "Ida Holms" is no place of "Ida Holm".
    file = write(tmp_path / "a.json", {**GOOD, "start_ambiguous": True}, {**answers(("paid", 28))})
    read = loaded(file, start_ambiguous=choice)
    assert [example.spans for example in read.examples] == [*spans, ((28, 32),)]
    assert [each.reason for each in read.dropped] == ["has start_ambiguous, and the recipe drops such"] * (not spans)
