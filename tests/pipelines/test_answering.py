from pathlib import Path

import pytest
from haystack import Document, Pipeline
from haystack.components.joiners import DocumentJoiner
from haystack.components.retrievers import InMemoryBM25Retriever
from haystack.components.writers import DocumentWriter
from haystack.document_stores.in_memory import InMemoryDocumentStore

from lodestone import ExtractiveReader
from lodestone.components.errors import ConfigurationError
from lodestone.pipelines.answering import QueryPipeline, Question
from lodestone.pipelines.stages import cut_at_embedder

PASSAGES = [
    Document(content="The lighthouse was built by Ida Holm in 1911.", meta={"source": "a.txt", "year": 1911}),
    Document(content="The lighthouse was painted by Jon Lind in 1950.", meta={"source": "b.txt", "year": 1950}),
]


@pytest.fixture
def store() -> InMemoryDocumentStore:
    store = InMemoryDocumentStore()
    store.write_documents(PASSAGES)
    return store


def pipeline(store: InMemoryDocumentStore) -> Pipeline:
    """Two retrievers into a joiner into the reader: a definition of somebody's own."""
    made = Pipeline()
    made.add_component("one", InMemoryBM25Retriever(store))
    made.add_component("two", InMemoryBM25Retriever(store))
    made.add_component("joiner", DocumentJoiner())
    made.add_component("reader", ExtractiveReader(top_k=3))
    made.connect("one.documents", "joiner.documents")
    made.connect("two.documents", "joiner.documents")
    made.connect("joiner.documents", "reader.documents")
    return made


def test_any_pipeline_that_ends_in_a_reader_answers(store: InMemoryDocumentStore) -> None:
    asked = QueryPipeline(pipeline(store))
    only_1950 = {"field": "meta.year", "operator": "==", "value": 1950}
    built, painted = asked.ask(
        [Question("Who built the lighthouse?"), Question("Who worked on the lighthouse?", filters=only_1950, top_k=1)]
    )
    assert built.answered
    assert built.answers[0].data == "Ida Holm"
    assert len(built.passages) == 2
    assert painted.answers[0].data == "Jon Lind"
    assert [passage.meta["source"] for passage in painted.passages] == ["b.txt"]
    assert built.to_dict(model="m", index=None)["answers"][0]["source"] == "a.txt"


def test_a_batch_gives_what_single_questions_give(store: InMemoryDocumentStore) -> None:
    asked = QueryPipeline(pipeline(store))
    questions = [Question("Who built it?"), Question("When was it painted?", top_k=1), Question("What is built?")]
    together = asked.ask(questions)
    for question, answered in zip(questions, together, strict=True):
        (alone,) = asked.ask([question])
        assert [a.data for a in answered.answers] == [a.data for a in alone.answers]


def test_search_gives_passages_unread(store: InMemoryDocumentStore) -> None:
    passages = QueryPipeline(pipeline(store)).search(Question("painted lighthouse", top_k=1))
    assert [passage.meta["source"] for passage in passages] == ["b.txt"]


def test_a_pipeline_without_a_reader_is_refused(store: InMemoryDocumentStore) -> None:
    made = Pipeline()
    made.add_component("one", InMemoryBM25Retriever(store))
    with pytest.raises(ConfigurationError, match="ends in one reader that gives `answers`, this has 0"):
        QueryPipeline(made)


def test_a_pipeline_without_a_writer_is_no_indexing_pipeline(store: InMemoryDocumentStore) -> None:
    with pytest.raises(ConfigurationError, match="ends in one DocumentWriter, this one has 0"):
        cut_at_embedder(pipeline(store))


def test_a_writer_that_nothing_is_sent_to_is_refused(store: InMemoryDocumentStore) -> None:
    made = Pipeline()
    made.add_component("writer", DocumentWriter(store))
    with pytest.raises(ConfigurationError, match="one component must send `documents` to 'writer', 0 do"):
        cut_at_embedder(made)


def test_the_fingerprint_changes_with_what_decides_the_passages_and_with_nothing_else(tmp_path: Path) -> None:
    from lodestone.pipelines import load_pipeline

    def fingerprint(name: str, **overrides: dict[str, object]) -> str:
        return cut_at_embedder(load_pipeline("indexing_faiss", index=tmp_path / name, overrides=overrides)).fingerprint

    same = fingerprint("one")
    assert same == fingerprint("two")
    assert same == fingerprint("one", PassageEmbedder={"batch_size": 7, "device": "cpu"})
    assert same != fingerprint("one", PassageSplitter={"max_tokens": 64})
    assert same != fingerprint("one", PassageEmbedder={"model": "other/model"})
