"""Full-text search: phrases, stop words, headings."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from haystack import Document
from hypothesis import given, settings
from hypothesis import strategies as st

from lodestone.components.stores import FaissDocumentStore
from lodestone.components.stores.words import LANGUAGES

TEXTS = {
    "wing": ("The boundary layer of a wing at high speed.", ["Laminar flow"]),
    "apart": ("A layer of paint marks the boundary of the field.", ["Laminar", "Flow of traffic"]),
    "hamlet": ("To be or not to be, that is the question.", []),
    "nails": ('Use 5" nails and 3" screws.', []),
    "other": ("Nothing of the kind is written here about boundaries or layers.", []),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaissDocumentStore]:
    with FaissDocumentStore(tmp_path_factory.mktemp("words")) as store:
        store.write_documents(
            [
                Document(id=name, content=content, meta={"headings": headings})
                for name, (content, headings) in TEXTS.items()
            ]
        )
        yield store


def found(store: FaissDocumentStore, query: str) -> list[str]:
    return [document.id for document in store.bm25_retrieval(query)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('"boundary layer"', ["wing"]),
        ("“Boundary layers”", ["wing"]),
        ('«boundary layer» "high speed"', ["wing"]),
        ('"laminar flow"', ["wing"]),
        ('"or not to be"', ["hamlet"]),
        ('boundary ("layer of paint")', ["apart"]),
        ('"question"', ["hamlet"]),
        ('"?!" question', ["hamlet"]),
    ],
)
def test_a_phrase_in_quotes_must_occur(store: FaissDocumentStore, query: str, expected: list[str]) -> None:
    assert found(store, query) == expected


@pytest.mark.parametrize(
    "query",
    [
        '"layer boundary"',
        '"flow the boundary"',  # from a heading into the content
        '"boundary layer" "zebra"',
        'layer "boundary zebra"',
    ],
)
def test_a_phrase_that_no_passage_has_counts_as_its_words(store: FaissDocumentStore, query: str) -> None:
    assert found(store, query) == found(store, query.replace('"', "")) != []


@pytest.mark.parametrize("query", ['boundary "layer', '"boundary layer', 'boundary layer"', 'boundary"layer"'])
def test_a_quote_without_its_partner_means_nothing(store: FaissDocumentStore, query: str) -> None:
    assert set(found(store, query)) == {"wing", "apart", "other"}


def test_inches_are_no_quotes(store: FaissDocumentStore) -> None:
    assert found(store, '3" screws or 5" nails') == ["nails"]


def test_a_question_is_searched_for_by_its_telling_words(store: FaissDocumentStore) -> None:
    assert found(store, "what is the paint that you have?") == ["apart"]


def test_a_query_of_stop_words_only_is_searched_for_by_these(store: FaissDocumentStore) -> None:
    assert found(store, "to be or not to be")[0] == "hamlet"


def test_a_word_counts_more_in_a_heading(store: FaissDocumentStore, tmp_path: Path) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents(
            [
                Document(id="content", content="Leave and other words", meta={"headings": ["Holidays"]}),
                Document(id="heading", content="Holidays and other words", meta={"headings": ["Leave"]}),
            ]
        )
        assert found(store, "leave") == ["heading", "content"]


def test_phrases_are_found_among_the_rows_that_a_filter_allows(store: FaissDocumentStore) -> None:
    others = {"field": "id", "operator": "!=", "value": "wing"}
    assert store.bm25_retrieval('"boundary layer"', filters=others) == store.bm25_retrieval("boundary layer", others)
    assert len(store.bm25_retrieval('"boundary layer"', filters={**others, "operator": "=="})) == 1


QUERIES = [
    '"' * 1000,
    '"a b" ' * 3000,
    '"' + "layer " * 20_000 + '"',
    f'"{"x" * 100} layer"',
    '"\0 \ud800"',
    '""',
    '" "',
]


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
def test_no_quotes_are_too_many(store: FaissDocumentStore, query: str) -> None:
    assert len(found(store, query)) <= len(TEXTS)


@settings(max_examples=200, deadline=None)
@given(query=st.text(st.sampled_from('"“”«» \tabc,.\\*+-()[]{}^~:/é\0\ud800') | st.characters()))
def test_any_quotes_around_any_text_can_be_searched_for(store: FaissDocumentStore, query: str) -> None:
    store.bm25_retrieval(query, top_k=3)
    store.bm25_retrieval(f'"{query}"', top_k=3)
    store.bm25_retrieval(f'boundary "{query} layer"', top_k=3)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_every_run_of_words_of_a_text_is_found_as_a_phrase(store: FaissDocumentStore, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([name for name in TEXTS if name != "nails"]))
    words = TEXTS[name][0].split()
    start = data.draw(st.integers(0, len(words) - 1))
    end = data.draw(st.integers(start + 1, len(words)))
    assert name in found(store, f'"{" ".join(words[start:end])}"')


@pytest.mark.parametrize("language", [*LANGUAGES, "none"])
def test_a_text_is_found_by_its_own_words_in_every_language(tmp_path: Path, language: str) -> None:
    text = "Die Häuser the houses les maisons casas дома σπίτια evler بيوت வீடுகள் case huse husene taloja házak"
    with FaissDocumentStore(tmp_path, language=language) as store:
        store.write_documents([Document(id="a", content=text), Document(id="b", content="0 1 2")])
        for word in text.split():
            assert found(store, word) == ["a"]
        assert found(store, f'"{text}"') == ["a"]


def test_hybrid_search_scores_the_words_of_a_phrase_that_no_passage_has(tmp_path: Path) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents(
            [
                Document(id="words", content="A lion of the sea", embedding=[-1.0, 0.0]),
                Document(id="dense", content="The sea is wide", embedding=[1.0, 0.0]),
            ]
        )
        (quoted,) = store.hybrid_retrieval('"sea lion"', [1.0, 0.0], top_k=1, candidates=1)
        (plain,) = store.hybrid_retrieval("sea lion", [1.0, 0.0], top_k=1, candidates=1)
    assert quoted.to_dict() == plain.to_dict()
    assert quoted.id == "dense"
    assert quoted.meta["retrieval"]["bm25_score"] > 0
