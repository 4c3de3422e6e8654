from operator import attrgetter

import pytest
from haystack import Document
from hypothesis import given
from hypothesis import strategies as st

from lodestone.components.readers.merging import MergedAnswer, Merger, Quote
from lodestone.components.readers.normalize import normalize_answer

TEXT = "the boat or a boat, The Boat and other boats of the boatman; a mast, the masts. " * 2


def quote(document: int, start: int, end: int, margin: float) -> Quote:
    # Document 1 is the second half of what document 0 is whole: the same source, shifted.
    shift = 0 if document == 0 else len(TEXT) // 2
    meta = {"source_id": "other" if document == 2 else "one", "split_idx_start": shift}
    return Quote(Document(id=str(document), content=TEXT[shift:], meta=meta), start, end, margin, margin)


@st.composite
def quotes(draw: st.DrawFn) -> Quote:
    document = draw(st.integers(0, 2))
    longest = len(TEXT) if document == 0 else len(TEXT) - len(TEXT) // 2
    start = draw(st.integers(0, longest - 1))
    end = draw(st.integers(start + 1, min(longest, start + 25)))
    return quote(document, start, end, draw(st.integers(-5, 5)))


def merged(found: list[Quote], threshold: float | None) -> list[MergedAnswer]:
    """Merge quotes that come from a window each."""
    merger = Merger(threshold, attrgetter("margin"))
    for each in found:
        merger.add([each])
    return merger.merged()


def share(left: Quote, right: Quote) -> float:
    (origin, start, end), (other, first, last) = left.place, right.place
    shared = min(end, last) - max(start, first) if origin == other else 0
    return max(0, shared) / min(end - start, last - first)


def slow(found: list[Quote], threshold: float) -> list[Quote]:
    """The quotes that stay, by comparing each with every better one."""
    kept: list[Quote] = []
    for candidate in sorted(found, key=lambda q: (-q.margin, q.place, q.document.id)):
        if all(share(candidate, other) <= threshold and candidate.place != other.place for other in kept):
            kept.append(candidate)
    return kept


@given(found=st.lists(quotes(), max_size=40), threshold=st.sampled_from([0.0, 0.01, 0.3, 1.0]))
def test_those_that_stay_are_those_of_a_slow_search(found: list[Quote], threshold: float) -> None:
    stayed = [kept for answer in merged(found, threshold) for kept in answer.quotes]
    expected = slow(found, threshold)
    assert sorted(q.place for q in stayed) == sorted(q.place for q in expected)


@given(found=st.lists(quotes(), max_size=30))
def test_answers_are_distinct_ordered_and_each_holds_equal_texts(found: list[Quote]) -> None:
    answers = merged(found, 0.01)
    margins = [answer.best.margin for answer in answers]
    assert margins == sorted(margins, reverse=True)
    keys = [{normalize_answer(q.text) or q.text.strip().lower() for q in answer.quotes} for answer in answers]
    assert all(len(key) == 1 for key in keys)
    assert len({next(iter(key)) for key in keys}) == len(answers)


@given(found=st.lists(quotes(), max_size=30))
def test_without_a_threshold_only_the_same_place_counts_as_the_same(found: list[Quote]) -> None:
    assert len(merged(found, None)) == len({q.place for q in found})


def test_the_best_quote_is_the_first_of_its_evidence() -> None:
    answers = merged([quote(0, 4, 8, 1.0), quote(2, 14, 18, 3.0), quote(0, 24, 28, 2.0)], 0.01)
    assert [[q.margin for q in answer.quotes] for answer in answers] == [[3.0, 2.0, 1.0]]


@given(found=st.lists(quotes(), max_size=30))
def test_of_one_window_only_the_best_of_what_overlaps_goes_on(found: list[Quote]) -> None:
    window = [each for each in found if each.document.id == "0"]
    merger = Merger(0.01, attrgetter("margin"))
    merger.add(window)
    stayed = [kept for answer in merger.merged() for kept in answer.quotes]
    assert sorted(q.place for q in stayed) == sorted(q.place for q in slow(window, 0.01))


@pytest.mark.parametrize("margin", [1e30, -1e30])
def test_extreme_margins_are_ordered_like_others(margin: float) -> None:
    answers = merged([quote(0, 4, 8, 0.0), quote(0, 70, 74, margin)], 0.01)
    assert answers[0].best.margin == max(0.0, margin)


def test_a_quote_leads_the_best_other_cut_of_its_words_by_the_difference_of_their_margins() -> None:
    document = Document(content="It was built by the old Ida Holm in 1911.")
    cuts = {"Ida Holm": 6.0, "the old Ida Holm": 4.5, "the Ida Holm": 0.0, "1911": 2.0, "old": 3.0}
    quotes = [
        Quote(document, start, start + len(words), margin, margin)
        for words, margin in cuts.items()
        if (start := (document.content or "").find(words)) >= 0
    ]
    merger = Merger(0.01, attrgetter("margin"))
    merger.add(quotes)
    leads = {answer.best.text: answer.best.lead for answer in merger.merged()}
    assert leads == {"Ida Holm": 1.5, "old": -1.5, "1911": 10.0}


def test_only_the_quotes_that_are_considered_become_answers_but_all_tell_how_clear_they_are() -> None:
    document = Document(content="It was built by Ida Holm in 1911.")
    quotes = [Quote(document, 16, 24, 6.0, 6.0), Quote(document, 13, 24, 5.0, 5.0), Quote(document, 28, 32, 1.0, 1.0)]
    merger = Merger(0.01, attrgetter("margin"))
    merger.add(quotes, 1)
    (answer,) = merger.merged()
    assert (answer.best.text, answer.best.lead) == ("Ida Holm", 1.0)
