from pathlib import Path

import pytest
import tiny_training

from lodestone.components.readers.normalize import normalize_answer
from lodestone.training import negatives
from lodestone.training.data import Example, load_data
from lodestone.training.negatives import mine, with_negatives
from lodestone.training.recipe import Data, DataFile, Negatives


@pytest.fixture
def examples(tmp_path: Path) -> list[Example]:
    file = tiny_training.write_squad(tmp_path / "train.json")
    return load_data(Data((DataFile(str(file)),))).examples


@pytest.mark.parametrize("search", [("bm25",), ("dense",), ("bm25", "dense")])
def test_a_negative_never_holds_the_answer(examples: list[Example], tmp_path: Path, search: tuple[str, ...]) -> None:
    settings = Negatives(share=1.0, per_question=2, search=search, top_k=10)
    found = with_negatives(examples, settings, 0, tmp_path / "negatives.json")
    assert found[: len(examples)] == examples
    added = found[len(examples) :]
    assert len(added) == 80
    for each in added:
        assert not each.spans
        assert all(normalize_answer(answer) not in normalize_answer(each.context) for answer in each.answers)
    assert len({each.id for each in found}) == len(found)


def test_an_answer_is_found_however_it_is_written() -> None:
    own = "The harbour closes at 10 p.m."
    paragraphs = [own, "At 10 P.M. the harbour closes.", "The harbour closes: at 10 pm!", "The harbour closes at 9."]
    example = Example("a", "When does the harbour close?", own, ((22, 28),), ("10 p.m.",))
    assert mine([example], paragraphs, Negatives(per_question=5)) == [[3]]


def test_the_searches_take_turns(examples: list[Example]) -> None:
    asked, paragraphs = examples[:1], list(dict.fromkeys(example.context for example in examples))
    words, vectors, both = (
        mine(asked, paragraphs, Negatives(per_question=4, search=search, top_k=20))[0]
        for search in (("bm25",), ("dense",), ("bm25", "dense"))
    )
    assert both[0] == words[0]
    assert set(both) & set(vectors)


def test_a_share_of_the_answerable_questions_gets_one_and_it_is_kept(
    examples: list[Example], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, settings = tmp_path / "negatives.json", Negatives(share=0.25)
    found = with_negatives(examples, settings, 0, cache)
    assert len(found) - len(examples) == 10

    def searched(*_: object) -> list[list[int]]:
        raise AssertionError("it was searched again")

    monkeypatch.setattr(negatives, "mine", searched)
    assert with_negatives(examples, settings, 0, cache) == found
    with pytest.raises(AssertionError, match="searched again"):
        with_negatives(examples, settings, 1, cache)
    cache.write_text("{")
    with pytest.raises(AssertionError, match="searched again"):
        with_negatives(examples, settings, 0, cache)
