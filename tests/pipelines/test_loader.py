"""Loading: the pipeline runs, the index folder and overrides arrive, mistakes become one error."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from haystack import Pipeline
from haystack.dataclasses import ByteStream

from lodestone.components.errors import ConfigurationError
from lodestone.pipelines import check, load_pipeline, parse_definition, read_definition, shipped_definitions
from lodestone.pipelines.loader import configured

Write = Callable[..., Path]

QUERY = """\
components:
  embedder:
    type: lodestone.components.embedders.text_embedder.TextEmbedder
  hybrid:
    type: lodestone.components.retrievers.faiss_hybrid_retriever.FaissHybridRetriever
    init_parameters:
      top_k: 5
      document_store:
        type: lodestone.components.stores.faiss_document_store.FaissDocumentStore
  reader:
    type: lodestone.components.readers.extractive_reader.ExtractiveReader
    init_parameters: {top_k: 3}
connections:
  - {sender: embedder.embedding, receiver: hybrid.query_embedding}
  - {sender: hybrid.documents, receiver: reader.documents}
"""


def test_a_loaded_pipeline_runs(write: Write, indexing_text: str) -> None:
    pipeline = load_pipeline(write(indexing_text))
    assert isinstance(pipeline, Pipeline)
    source = ByteStream(b"Lodestones point north.", mime_type="text/plain")
    assert pipeline.run({"router": {"sources": [source]}}) == {"writer": {"documents_written": 1}}
    assert pipeline.metadata == {"name": "indexing"}
    assert pipeline.to_dict()["max_runs_per_component"] == 10


def test_it_equals_the_pipeline_that_haystack_loads(write: Write, indexing_text: str) -> None:
    text = indexing_text.replace("bm25_algorithm: BM25L", "bm25_algorithm: BM25L\n          index: shared")
    assert load_pipeline(write(text)) == Pipeline.loads(text)


def test_mistakes_become_one_error_with_a_line_each(write: Write, indexing_text: str) -> None:
    path = write(indexing_text.replace("NFC", "NFX").replace("BM25L", "BM25"))
    with pytest.raises(ConfigurationError) as caught:
        load_pipeline(path)
    lines = str(caught.value).splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["pipeline.yaml:19:", "pipeline.yaml:27:"]


def test_index_sets_the_folder_of_every_faiss_store(write: Write, tmp_path: Path) -> None:
    folder = tmp_path / "an index"
    pipeline = load_pipeline(write(QUERY), index=folder)
    assert pipeline.get_component("hybrid").document_store.path == str(folder)
    assert not folder.exists()


def test_index_leaves_other_stores_alone(write: Write, indexing_text: str, tmp_path: Path) -> None:
    assert load_pipeline(write(indexing_text), index=tmp_path) is not None


def test_overrides_set_parameters_of_a_class_at_any_depth(write: Write) -> None:
    overrides = {"ExtractiveReader": {"top_k": 7}, "FaissDocumentStore": {"language": "german"}}
    pipeline = load_pipeline(write(QUERY), overrides=overrides)
    assert pipeline.get_component("reader").settings.top_k == 7
    assert pipeline.get_component("hybrid").document_store.language == "german"


def test_configuring_leaves_the_definition_as_it_was() -> None:
    definition = parse_definition(QUERY)
    configured(definition, index="x", overrides={"ExtractiveReader": {"top_k": 7}})
    assert definition.data == parse_definition(QUERY).data


def test_an_override_of_nothing_names_what_there_is(write: Write) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_pipeline(write(QUERY), overrides={"ExtractivReader": {"model": "x"}})
    assert str(caught.value) == (
        "pipeline.yaml has no ExtractivReader to set model of; it has ExtractiveReader, FaissDocumentStore, "
        "FaissHybridRetriever, TextEmbedder. Did you mean 'ExtractiveReader'?"
    )


def test_a_wrong_override_is_a_mistake_like_any_other(write: Write) -> None:
    with pytest.raises(ConfigurationError, match=r"pipeline\.yaml:12: ExtractiveReader has no parameter 'modle'"):
        load_pipeline(write(QUERY), overrides={"ExtractiveReader": {"modle": "x"}})


@pytest.mark.parametrize(
    ("right", "wrong", "expected"),
    [
        ("top_k: 5", "top_k: 0", "hybrid_retriever:7: FaissHybridRetriever cannot be built: top_k must be"),
        ("top_k: 3", "max_answer_len: 3", "12: ExtractiveReader has no parameter 'max_answer_len'"),
        ("hybrid.query_embedding", "hybrid.embedding", "14: receiver 'hybrid.embedding': hybrid has no input"),
        ("embedder.embedding", "embedder.vector", "14: sender 'embedder.vector': embedder has no output 'vector'"),
        ("receiver: reader.documents", "receiver: reader.query", "15: cannot connect hybrid.documents to reader.query"),
        ("FaissDocumentStore", "FaissStore", "9: 'document_store': 'lodestone.components.stores.faiss_document_store'"),
        ("readers.extractive_reader.", "readers.", "11: the component 'reader': 'ExtractiveReader' is defined elsewh"),
    ],
)
def test_mistakes_with_our_own_components_are_found(right: str, wrong: str, expected: str) -> None:
    problems = check(parse_definition(QUERY.replace(right, wrong), "q.yaml"))
    assert len(problems) == 1
    assert str(problems[0]).startswith("q.yaml:" + expected.removeprefix("hybrid_retriever:"))


def test_our_own_components_survive_a_round_trip() -> None:
    assert check(parse_definition(QUERY)) == []
    dumped = Pipeline.loads(QUERY, allowed_modules=["lodestone"]).dumps()
    assert check(parse_definition(dumped)) == []


@pytest.mark.parametrize("name", sorted(shipped_definitions()))
def test_the_shipped_definitions_are_valid(name: str) -> None:
    assert list(map(str, check(read_definition(name)))) == []


def test_importing_the_package_does_not_import_haystack() -> None:
    code = "import lodestone.pipelines, sys; print([m for m in ('haystack', 'torch', 'faiss') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("index", ["http://x:9200/a", Path("http://x:9200/a"), "s3://bucket/index"])
def test_a_url_is_no_folder_of_an_index(index: str | Path) -> None:
    with pytest.raises(ConfigurationError, match=r"must be a folder for .*, got the URL '(http|s3)"):
        load_pipeline("indexing_faiss", index=index)


def test_a_folder_may_have_a_colon_in_its_name(tmp_path: Path) -> None:
    assert load_pipeline("indexing_faiss", index=tmp_path / "a:" / "b") is not None
