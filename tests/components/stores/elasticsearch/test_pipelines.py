"""The shipped pipelines over Elasticsearch, by the commands that people type."""

import json
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lodestone import ElasticsearchStore
from lodestone.components.errors import ConfigurationError
from lodestone.pipelines import load_pipeline
from lodestone.pipelines.answering import QueryPipeline, Question

REPOSITORY = Path(__file__).resolve().parents[4]
QUERY = ("--pipeline", "query_elasticsearch", "--index", "test-examples")
INDEXING = ("--pipeline", "indexing_elasticsearch", "--index", "test-examples")


@pytest.fixture
def corpus(elasticsearch_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The examples, to be indexed into `test-examples`."""
    monkeypatch.setenv("ELASTICSEARCH_URL", elasticsearch_url)
    with ElasticsearchStore(index="test-examples") as store:
        store.delete_all_documents(recreate_index=True)
        yield Path(shutil.copytree(REPOSITORY / "examples" / "corpus", tmp_path / "corpus"))
        store.delete_all_documents(recreate_index=True)


def test_the_commands_work_as_they_do_over_a_folder(
    corpus: Path, example_index: Path, lodestone: Callable[..., Any], elasticsearch_url: str
) -> None:
    outcome = lodestone("search", "dogs", *QUERY)
    assert (outcome.code, outcome.err.splitlines()[0]) == (
        2,
        f"error: there is no index in {elasticsearch_url}/test-examples; make one with `lodestone index PATH`",
    )
    report = json.loads(lodestone("index", corpus, *INDEXING, "--json").out.splitlines()[-1])
    assert (report["index"], report["failed"]) == (f"{elasticsearch_url}/test-examples", [])
    over_folder = QueryPipeline(load_pipeline("query_faiss", index=example_index))
    assert report["passages_in_index"] == over_folder.store.count_documents()
    again = json.loads(lodestone("index", corpus, *INDEXING, "--json").out.splitlines()[-1])
    assert (again["indexed"], again["unchanged"]) == (0, report["indexed"])

    _compare(QueryPipeline(load_pipeline("query_elasticsearch", index="test-examples")), over_folder)

    answer = json.loads(lodestone("ask", "How much notice do I give to take leave?", *QUERY, "--json").out)
    assert answer["index"] == f"{elasticsearch_url}/test-examples"
    status = json.loads(lodestone("status", *QUERY, "--json").out)
    assert status["sources"] == {"indexed": report["indexed"]}
    assert (status["passages"], status["index_type"]) == (report["passages_in_index"], "int8_hnsw")

    (corpus / "travel" / "dogs-and-animals-2019.txt").unlink()
    report = json.loads(lodestone("index", corpus, *INDEXING, "--json").out.splitlines()[-1])
    assert (report["indexed"], report["deleted"]) == (0, 1)
    removed = json.loads(lodestone("delete", corpus / "travel", *QUERY, "--json").out)
    assert removed["files"] > 5
    found = lodestone("search", "dogs", *QUERY, "--filter", "source == travel/dogs-and-animals-2024.md").out
    assert "No passage matches." in found

    refused = lodestone("store", "compact", *QUERY)
    assert (refused.code, "_forcemerge" in refused.err) == (2, True)


def _compare(over_elasticsearch: QueryPipeline, over_folder: QueryPipeline) -> None:
    """The two find much the same, and best answers agree where the same was found."""
    lines = (REPOSITORY / "examples" / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    questions = [Question(json.loads(line)["question"]) for line in lines[:20]]
    one, other = over_elasticsearch.ask(questions), over_folder.ask(questions)
    overlaps = [
        len({p.id for p in a.passages} & {p.id for p in b.passages}) / len(b.passages)
        for a, b in zip(one, other, strict=True)
    ]
    same = sum(
        a.answered == b.answered and (not a.answered or a.answers[0].data == b.answers[0].data)
        for a, b in zip(one, other, strict=True)
    )
    assert sum(overlaps) / len(overlaps) > 0.85
    assert same >= 0.9 * len(questions)


def test_an_index_is_built_anew_while_the_old_one_serves(
    elasticsearch_url: str, lodestone: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ELASTICSEARCH_URL", elasticsearch_url)
    name = f"test-swap-{uuid.uuid4().hex[:8]}"
    query, indexing = ("--pipeline", "query_elasticsearch", "--index", name), _words_only(tmp_path, name)
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.txt").write_text(f"The lighthouse has keeper {number}.\n")
    store = ElasticsearchStore(index=name)

    def states() -> list[tuple[str, str, int]]:
        listed = json.loads(lodestone("store", "indices", *query, "--json").out)["indices"]
        return [(one["name"].removeprefix(f"{name}-"), one["state"], one["passages"]) for one in listed]

    try:
        lodestone("index", folder, *indexing)
        assert states() == [("000001", "serving", 4)]
        (folder / "3.txt").unlink()
        assert lodestone("index", folder, *indexing, "--swap").code == 0
        assert states() == [("000001", "old", 4), ("000002", "serving", 3)]
        assert store.count_documents() == 3

        # What fails now and was indexed before must not be lost by the swap.
        (folder / "2.txt").write_text("")
        outcome = lodestone("index", folder, *indexing, "--swap")
        assert (outcome.code, "lacks 1 files that the old one holds" in outcome.out) == (1, True)
        assert "serves on as it was" in outcome.out
        assert states()[1:] == [("000002", "serving", 3), ("000003", "building", 2)]
        assert store.count_documents() == 3

        # The next run goes on with what was built, and one old index is kept.
        (folder / "2.txt").write_text("The lighthouse is dark.\n")
        report = json.loads(lodestone("index", folder, *indexing, "--swap", "--json").out.splitlines()[-1])
        assert (report["indexed"], report["unchanged"]) == (1, 2), report
        assert states() == [("000002", "old", 3), ("000003", "serving", 3)]
        assert [document.meta["source"] for document in store.bm25_retrieval("dark")] == ["2.txt"]
        assert len(list(store.sources())) == 3

        other = tmp_path / "other"
        other.mkdir()
        (other / "a.txt").write_text("Another folder.\n")
        outcome = lodestone("index", other, *indexing, "--swap")
        assert (outcome.code, "would lack folders" in outcome.err) == (2, True)
    finally:
        store.client.indices.delete(index=sorted(store.client.indices.get(index=f"{name}-*").body))


def test_the_name_of_an_index_that_is_being_built_is_nobody_elses(
    elasticsearch_url: str, lodestone: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ELASTICSEARCH_URL", elasticsearch_url)
    (tmp_path / "a.txt").write_text("Words.\n")
    name = f"test-{uuid.uuid4().hex[:8]}-next"
    outcome = lodestone("index", tmp_path / "a.txt", "--pipeline", "indexing_elasticsearch", "--index", name)
    assert (outcome.code, "for the index that --swap builds" in outcome.err) == (2, True)
    with ElasticsearchStore(index=name) as store, pytest.raises(ConfigurationError, match="ends in -next"):
        store.import_from(tmp_path / "a.txt")
    with ElasticsearchStore(index=name) as store:
        assert not store.exists()


def test_only_elasticsearch_swaps(lodestone: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Words.\n")
    outcome = lodestone("index", tmp_path / "a.txt", "--index", tmp_path / "index", "--swap")
    assert (outcome.code, "--swap needs a pipeline that writes to an ElasticsearchStore" in outcome.err) == (2, True)


def _words_only(folder: Path, index: str) -> tuple[str, ...]:
    """An indexing pipeline without an embedder, which would take most of the time."""
    text = (REPOSITORY / "pipelines" / "indexing_elasticsearch.yaml").read_text(encoding="utf-8")
    text = text.replace("  embedder:\n    type: lodestone.components.embedders.passage_embedder.PassageEmbedder\n", "")
    text = text.replace("  - {sender: splitter.documents, receiver: embedder.documents}\n", "")
    text = text.replace("{sender: embedder.documents,", "{sender: splitter.documents,")
    (folder / "words.yaml").write_text(text, encoding="utf-8")
    return "--pipeline", str(folder / "words.yaml"), "--index", index
