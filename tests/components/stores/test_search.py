"""Search: exact filters, scores that mean something, any words at all."""

import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from haystack import Document
from haystack.document_stores.types import DuplicatePolicy
from haystack.errors import FilterError
from hypothesis import given, settings
from hypothesis import strategies as st

from lodestone.components.errors import ConfigurationError, LodestoneError
from lodestone.components.stores import FaissDocumentStore

COUNT, DIM = 2000, 16
VECTORS = np.random.default_rng(3).standard_normal((COUNT, DIM)).astype(np.float32)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FaissDocumentStore:
    store = FaissDocumentStore(tmp_path_factory.mktemp("search"))
    for start in range(0, COUNT, 500):
        store.write_documents(
            [
                Document(
                    id=str(n),
                    content=f"common {'often' if n % 2 else 'seldom'} number{n}",
                    meta={"n": n},
                    embedding=VECTORS[n].tolist(),
                )
                for n in range(start, start + 500)
            ]
        )
    return store


def below(limit: int) -> dict[str, Any]:
    return {"field": "meta.n", "operator": "<", "value": limit}


@pytest.mark.parametrize("matching", [2, 200, 1800])
def test_a_filtered_search_by_vectors_returns_exactly_the_best_that_match(
    store: FaissDocumentStore, matching: int
) -> None:
    query = VECTORS[1234]
    allowed = VECTORS[:matching].astype(np.float64)
    cosines = allowed @ query / np.linalg.norm(allowed, axis=1) / np.linalg.norm(query)
    found = store.embedding_retrieval(query.tolist(), filters=below(matching), top_k=50)
    assert [document.id for document in found] == [str(n) for n in np.argsort(-cosines)[:50]]
    assert [document.score for document in found] == pytest.approx(np.sort(cosines)[::-1][:50].tolist(), abs=1e-5)


@pytest.mark.parametrize("matching", [2, 200, 1800])
@pytest.mark.parametrize("listed", [10, 5000])
@pytest.mark.parametrize("separate", [0, 1000])
def test_a_filtered_search_by_words_returns_exactly_as_many_as_match(
    store: FaissDocumentStore, matching: int, listed: int, separate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lodestone.components.stores.text_index._MAX_SEPARATE_ROWS", separate)
    monkeypatch.setattr("lodestone.components.stores.text_index._MAX_LISTED_ROWS", listed)
    found = store.bm25_retrieval("common often", filters=below(matching), top_k=50)
    assert len(found) == min(50, matching)
    assert all(document.meta["n"] < matching for document in found)
    odd = [document.meta["n"] % 2 for document in found]
    assert odd == sorted(odd, reverse=True)
    assert len(store.bm25_retrieval("often", filters=below(matching), top_k=5000)) == matching // 2


def test_equal_scores_come_in_the_order_written(store: FaissDocumentStore, tmp_path: Path) -> None:
    found = store.bm25_retrieval("common", top_k=30)
    assert [document.id for document in found] == [str(n) for n in range(30)]
    with FaissDocumentStore(tmp_path) as same:
        same.write_documents([Document(id=str(n), content="x", embedding=[0.6, 0.8]) for n in range(100)])
        same.write_documents([Document(id="0", content="x", embedding=[0.6, 0.8])], policy=DuplicatePolicy.OVERWRITE)
        for found in (same.embedding_retrieval([1, 1], top_k=5), same.bm25_retrieval("x", top_k=5)):
            assert [document.id for document in found] == ["1", "2", "3", "4", "5"]


def test_embeddings_come_back_as_given_and_only_when_asked_for(store: FaissDocumentStore) -> None:
    assert store.embedding_retrieval(VECTORS[0].tolist(), top_k=1)[0].embedding is None
    found = store.embedding_retrieval(VECTORS[0].tolist(), top_k=1, return_embedding=True)[0]
    assert found.embedding == VECTORS[0].tolist()
    assert store.bm25_retrieval("number7", return_embedding=True)[0].embedding == VECTORS[7].tolist()


def test_the_inner_product_is_used_where_it_is_asked_for(tmp_path: Path) -> None:
    with FaissDocumentStore(tmp_path, similarity="dot_product") as store:
        store.write_documents([Document(id="long", embedding=[10.0, 10.0]), Document(id="near", embedding=[0.1, 0.0])])
        found = store.embedding_retrieval([1.0, 0.0])
        assert [(document.id, document.score) for document in found] == [
            ("long", pytest.approx(10)),
            ("near", pytest.approx(0.1)),
        ]


def test_a_vector_of_length_zero_has_similarity_zero(tmp_path: Path) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents([Document(id="zero", embedding=[0.0, 0.0]), Document(id="one", embedding=[0.0, 2.0])])
        found = store.embedding_retrieval([0.0, 5.0])
        assert [(document.id, document.score) for document in found] == [("one", pytest.approx(1)), ("zero", 0.0)]
        assert {document.score for document in store.embedding_retrieval([0.0, 0.0])} == {0.0}


@pytest.mark.parametrize(
    ("query", "message"),
    [([1.0], "1 dimensions, the store's have 16"), ([float("nan")] * 16, "NaN"), ([], "non-empty"), (["a"], "numbers")],
)
def test_a_wrong_query_vector_is_refused(store: FaissDocumentStore, query: list[Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        store.embedding_retrieval(query)


def test_a_wrong_count_or_filter_is_refused(store: FaissDocumentStore) -> None:
    with pytest.raises(ConfigurationError, match="top_k must be at least 1, got 0"):
        store.bm25_retrieval("x", top_k=0)
    with pytest.raises(FilterError):
        store.embedding_retrieval(VECTORS[0].tolist(), filters={"field": "meta.n"})


HOSTILE = [
    "",
    " ",
    "?",
    "the of and",
    "text:common",
    'common "often',
    "(common AND [often TO",
    "+common -often",
    "common^9999 often~",
    "*:*",
    "common\0often",
    "\\",
    "🦀 common",
    "\ud800 common",
    "common OR NOT",
    "row:1",
    "common IN [a b]",
    "/re[gex/ common",
    "common " * 10_000,
    " ".join(f"word{n}" for n in range(10_000)) + " common",
    "x" * 200_000 + " common",
]


@pytest.mark.parametrize("query", HOSTILE, ids=range(len(HOSTILE)))
def test_nothing_but_a_pair_of_quotes_is_syntax(store: FaissDocumentStore, query: str) -> None:
    assert len(store.bm25_retrieval(query, top_k=3)) == (3 if "common" in query else 0)


@settings(max_examples=100, deadline=None)
@given(query=st.text())
def test_any_text_can_be_searched_for(store: FaissDocumentStore, query: str) -> None:
    store.bm25_retrieval(query, top_k=3)


def test_words_are_found_in_headings_and_in_other_forms(tmp_path: Path) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents(
            [
                Document(id="a", content="The café was closing early.", meta={"headings": ["Lighthouse keepers"]}),
                Document(id="b", content="Something else, without a vector or heading."),
                Document(id="c", content=None),
            ]
        )
        for query in ("CLOSED", "cafe", "the keeper's lighthouse"):
            assert [document.id for document in store.bm25_retrieval(query)] == ["a"]
    with FaissDocumentStore(tmp_path / "de", language="german") as store:
        store.write_documents([Document(id="a", content="Die Häuser der Stadt")])
        assert len(store.bm25_retrieval("Haus")) == 1
        assert store.bm25_retrieval("die der Fabriken") == []
    with FaissDocumentStore(tmp_path / "none", language="none") as store:
        store.write_documents([Document(id="a", content="The houses")])
        assert len(store.bm25_retrieval("the")) == 1
        assert store.bm25_retrieval("house") == []


def test_threads_can_write_and_search_together(tmp_path: Path) -> None:
    store = FaissDocumentStore(tmp_path)
    errors: list[BaseException] = []

    def work(worker: int) -> None:
        try:
            for n in range(10):
                documents = [Document(id=f"{worker}-{n}-{i}", content="word", embedding=[1.0, i]) for i in range(5)]
                store.write_documents(documents)
                assert len(store.bm25_retrieval("word", top_k=1000)) % 5 == 0
                assert len(store.embedding_retrieval([1.0, 1.0], top_k=1000)) % 5 == 0
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(store.bm25_retrieval("word", top_k=1000)) == store.count_documents() == 200
    store.close()


def test_a_missing_faiss_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    store = FaissDocumentStore(tmp_path)
    store.write_documents([Document(id="a", content="word", embedding=[1.0])])
    assert len(store.bm25_retrieval("word")) == 1
    with pytest.raises(LodestoneError, match=r"pip install 'lodestone\[cpu\]'"):
        store.embedding_retrieval([1.0])
    monkeypatch.undo()
    store.close()
