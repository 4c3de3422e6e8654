import math
from pathlib import Path

import pytest

from lodestone.components.errors import ConfigurationError
from lodestone.evaluation.retrieval import Entry, measure, read_collection


def collection(folder: Path, corpus: str, queries: str, qrels: str) -> Path:
    (folder / "corpus.jsonl").write_text(corpus, encoding="utf-8")
    (folder / "queries.jsonl").write_text(queries, encoding="utf-8")
    (folder / "qrels.tsv").write_text(qrels, encoding="utf-8")
    return folder


CORPUS = '{"_id": "a", "title": "First", "text": "one"}\n\n{"_id": "b", "text": "two\\u2028lines"}\n'
QUERIES = '{"_id": "q", "text": "which?"}\n{"_id": "r", "text": "what?"}\n'
HEADER = "query-id\tcorpus-id\tscore\n"


def test_a_collection_is_read(tmp_path: Path) -> None:
    found = read_collection(collection(tmp_path, CORPUS, QUERIES, HEADER + "q\ta\t2\nq\tb\t0\n"))
    assert found.corpus == {"a": Entry("First", "one"), "b": Entry("", "two\u2028lines")}
    assert found.queries == {"q": "which?", "r": "what?"}
    assert found.qrels == {"q": {"a": 2, "b": 0}}


@pytest.mark.parametrize(
    ("corpus", "queries", "qrels", "says"),
    [
        ("not json\n", QUERIES, HEADER, "corpus.jsonl:1 must be an object"),
        ('{"_id": "a"}\n', QUERIES, HEADER, "corpus.jsonl:1 must be an object"),
        ("[]\n", QUERIES, HEADER, "corpus.jsonl:1 must be an object"),
        ('{"_id": 1, "text": "one"}\n', QUERIES, HEADER, "_id and text must be strings"),
        (CORPUS + '{"_id": "a", "text": "again"}\n', QUERIES, HEADER, "corpus.jsonl:4: the id 'a' comes twice"),
        (CORPUS, QUERIES, HEADER + "q\ta\n", "qrels.tsv:2 must be"),
        (CORPUS, QUERIES, HEADER + "q\ta\tmuch\n", "qrels.tsv:2 must be"),
        (CORPUS, QUERIES, HEADER + "x\ta\t1\n", "no query 'x'"),
        (CORPUS, QUERIES, HEADER + "q\tx\t1\n", "no document 'x'"),
        (CORPUS, QUERIES, HEADER + "q\ta\t1\nq\ta\t0\n", "qrels.tsv:3: the document 'a' was judged otherwise"),
        (CORPUS, QUERIES, "q\ta\t1\n", "qrels.tsv:1 must be a header"),
        (CORPUS, '{"_id": "q", "text": "\\ud800"}\n', HEADER, "queries.jsonl:1: holds half a surrogate pair"),
        ("", QUERIES, HEADER, "corpus.jsonl holds no text"),
        ('{"_id": "a", "text": " "}\n', QUERIES, HEADER, "corpus.jsonl holds no text"),
        ("[" * 100_000, QUERIES, HEADER, "corpus.jsonl:1 must be an object"),
    ],
)
def test_a_malformed_collection_is_refused_with_the_place(
    tmp_path: Path, corpus: str, queries: str, qrels: str, says: str
) -> None:
    with pytest.raises(ConfigurationError, match=says):
        read_collection(collection(tmp_path, corpus, queries, qrels))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"corpus\.jsonl does not exist: a collection is a folder with"):
        read_collection(tmp_path)


def test_the_measures_are_those_of_the_textbook() -> None:
    qrels = {"q": {"a": 3, "b": 1, "c": 0}, "r": {"a": 1}, "unjudged": {"a": 0}}
    run = {"q": {"c": 3.0, "a": 2.0, "b": 1.0}, "unjudged": {"a": 1.0}}
    found = measure(qrels, run, ["nDCG@10", "R@2", "P@2", "RR", "AP"])
    gain = 3 / math.log2(3) + 1 / math.log2(4)
    ideal = 3 + 1 / math.log2(3)
    assert found.by_query["nDCG@10"]["q"] == pytest.approx(gain / ideal)
    assert found.by_query["R@2"] == pytest.approx({"q": 0.5, "r": 0.0})
    assert found.by_query["P@2"]["q"] == 0.5
    assert found.by_query["RR"]["q"] == 0.5
    assert found.by_query["AP"]["q"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    # A query that the run lacks counts as 0, one without a relevant document does not count.
    assert found.mean["RR"] == 0.25


def test_an_unknown_measure_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'best' is no measure"):
        measure({"q": {"a": 1}}, {}, ["best"])


def test_a_measure_that_needs_what_is_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise ValueError("Unsupported measures {RBP}")

    monkeypatch.setattr("ir_measures.iter_calc", unsupported)
    with pytest.raises(ConfigurationError, match="cannot compute RBP here: Unsupported measures"):
        measure({"q": {"a": 1}}, {}, ["RBP"])


def test_an_empty_run_measures_zero() -> None:
    assert measure({"q": {"a": 1}}, {}, ["nDCG@10"]).mean == {"nDCG@10": 0.0}
