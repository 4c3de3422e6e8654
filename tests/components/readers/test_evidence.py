import math

import pytest
from haystack import Document

from lodestone.components.readers.evidence import gather_evidence
from lodestone.components.readers.merging import MergedAnswer, Quote
from lodestone.components.readers.wording import QuestionWording

TEXT = "The harbour is old. The tower of Varnholm was built by Ida Holm in 1911! Ships come at dawn."


def answer(document: Document, words: str, margin: float, lead: float = 0.0) -> MergedAnswer:
    start = (document.content or "").index(words)
    return MergedAnswer([Quote(document, start, start + len(words), margin, margin, lead)])


def test_words_of_the_question_are_looked_for_by_their_stems_without_stop_words() -> None:
    wording = QuestionWording("Who was building the towers?")
    assert wording.share_in("She builds a tower.") == 1.0
    assert wording.share_in("Who was the king?") == 0.0
    assert wording.share_in("A tower, again.") == 0.5


def test_a_question_of_stop_words_only_counts_them_all() -> None:
    assert QuestionWording("Who is it?").share_in("It is here.") == pytest.approx(2 / 3)


def test_the_sentence_around_an_answer_ends_at_its_neighbours_and_leaves_the_answer_out() -> None:
    wording = QuestionWording("Which old tower did Holm build?")
    start = TEXT.index("Ida Holm")
    assert wording.share_around(TEXT, start, start + 8) == pytest.approx(1 / 4)


def test_evidence_holds_rank_coverage_and_length_of_each_answer() -> None:
    first, second = Document(id="a", content="Nothing here."), Document(id="b", content=TEXT)
    merged = [answer(second, "Ida Holm", 4.0, -0.3), answer(first, "Nothing", -2.0)]
    found = gather_evidence("Who built the tower?", [first, second], merged)
    assert found.texts == ("Ida Holm", "Nothing")
    assert found.found.tolist() == [4.0, 1.0]
    assert found.which[0].tolist() == pytest.approx([4.0, math.log(2), 1.0, 1.0])
    assert found.which[1].tolist() == pytest.approx([-2.0, 0.0, 0.0, 0.0])
    assert found.exact.tolist() == [pytest.approx([-0.3, math.log(3)]), pytest.approx([0.0, math.log(2)])]


def test_words_in_the_headings_count_as_the_passages() -> None:
    document = Document(content="It was built by Ida Holm.", meta={"headings": ["The tower"]})
    merged = [answer(document, "Ida Holm", 1.0)]
    assert gather_evidence("Who built the tower?", [document], merged).which[0].tolist() == [1.0, 0.0, 0.5, 1.0]


def test_a_question_without_answers_has_empty_evidence() -> None:
    assert len(gather_evidence("Who?", [], [])) == 0
