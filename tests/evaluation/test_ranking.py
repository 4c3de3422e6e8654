import json
from pathlib import Path
from typing import Any

import pytest
from haystack import Document, Pipeline, component
from haystack.dataclasses import ExtractedAnswer

from lodestone.components.errors import ConfigurationError
from lodestone.evaluation.corpus import ENTRY
from lodestone.evaluation.ranking import evaluate_retrieval
from lodestone.evaluation.retrieval import Collection, read_collection

DOCUMENTS = 8


@component
class LongDocuments:
    """Gives the documents in their order, five passages each, as many passages as are asked for and `most` allows."""

    def __init__(self, most: int = 1000) -> None:
        self.most = most
        self.asked: list[int] = []

    @component.output_types(documents=list[Document])
    def run(self, query: str, top_k: int = 10) -> dict[str, list[Document]]:
        self.asked.append(top_k)
        passages = [Document(content=f"{n}", meta={ENTRY: f"d{n // 5}"}) for n in range(5 * DOCUMENTS)]
        return {"documents": passages[: min(top_k, self.most)]}


@component
class NoReader:
    """Is never asked."""

    @component.output_types(answers=list[ExtractedAnswer])
    def run(self, query: str, documents: list[Document]) -> dict[str, Any]:
        raise AssertionError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A collection with one query, whose relevant documents are the first and the sixth."""
    corpus = [{"_id": f"d{number}", "text": "text"} for number in range(DOCUMENTS)]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in corpus))
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "Who?"}\n')
    (tmp_path / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq\td0\t1\nq\td5\t1\n")
    return tmp_path


def ranked(folder: Path, retriever: LongDocuments, **options: Any) -> tuple[list[str], dict[str, float]]:
    pipeline = Pipeline()
    pipeline.add_component("retriever", retriever)
    pipeline.add_component("reader", NoReader())
    pipeline.connect("retriever.documents", "reader.documents")
    collection: Collection = read_collection(folder)
    result = evaluate_retrieval(folder, collection, pipeline, **options)
    return result.questions[0]["documents"], result.metrics


def test_recall_is_that_of_documents_however_many_passages_they_have(folder: Path) -> None:
    retriever = LongDocuments()
    documents, metrics = ranked(folder, retriever, measures=["R@6", "R@5"], depth=6)
    assert documents == [f"d{number}" for number in range(6)]
    assert metrics == {"R@6": 1.0, "R@5": 0.5}
    assert retriever.asked == [6, 12, 24, 48]


@pytest.mark.parametrize(("most", "found"), [(1000, 8), (12, 3)])
def test_where_there_are_no_more_documents_the_search_ends(folder: Path, most: int, found: int) -> None:
    assert len(ranked(folder, LongDocuments(most), measures=["RR"], depth=100)[0]) == found


@pytest.mark.parametrize("measure", ["R@100", "nDCG@10"])
def test_a_measure_that_looks_further_than_the_search_is_refused(folder: Path, measure: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"{measure} looks at 100? documents, but only 5 are retrieved"):
        ranked(folder, LongDocuments(), measures=["RR", measure], depth=5)
