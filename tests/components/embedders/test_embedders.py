import contextlib
import io
import json
import logging
import shutil
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from haystack import Document

from lodestone.components.embedders import PassageEmbedder, TextEmbedder
from lodestone.components.embedders.embedding_model import model_fingerprint, shared_model
from lodestone.components.errors import ConfigurationError
from lodestone.components.models import DEFAULT_EMBEDDER, resolve_model

SENTENCES = [
    "How many annual leave hours can be carried over from one leave year to the next?",
    "The server protocol interpreter shall listen on Port L.",
    "",
    "漢字とemoji 😀",
    "A long one. " * 300,
]


@pytest.fixture(scope="module")
def reference() -> np.ndarray:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(resolve_model(DEFAULT_EMBEDDER)), device="cpu", local_files_only=True)
    return np.asarray(model.encode(SENTENCES, show_progress_bar=False))


@pytest.fixture(scope="module")
def folder_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the embedder with prompts, and its weights linked."""
    source, target = resolve_model(DEFAULT_EMBEDDER), tmp_path_factory.mktemp("model") / "m"
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.safetensors"))
    (target / "model.safetensors").symlink_to(source / "model.safetensors")
    path = target / "config_sentence_transformers.json"
    config = json.loads(path.read_text())
    config["prompts"] = {"query": "query: ", "document": "passage: "}
    path.write_text(json.dumps(config))
    return target


def test_embeddings_equal_those_of_sentence_transformers(reference: np.ndarray) -> None:
    vectors = TextEmbedder(precision="float32").embed(SENTENCES)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(SENTENCES), 384)
    np.testing.assert_allclose(vectors, reference, atol=1e-5)
    passages = PassageEmbedder(batch_size=2, precision="float32")
    np.testing.assert_allclose(passages.embed(SENTENCES), reference, atol=1e-5)
    np.testing.assert_allclose(TextEmbedder(engine="torch").embed(SENTENCES), reference, atol=1e-5)


def test_one_question_gives_a_list_of_numbers(reference: np.ndarray) -> None:
    embedding = TextEmbedder(precision="float32").run(SENTENCES[0])["embedding"]
    assert isinstance(embedding, list)
    np.testing.assert_allclose(embedding, reference[0], atol=1e-5)


def test_passages_are_embedded_with_their_headings_and_come_back_as_copies() -> None:
    embedder = PassageEmbedder(device="cpu")
    document = Document(content="240 hours.", meta={"headings": ["Leave", "Annual leave"]})
    (embedded,) = embedder.run([document])["documents"]
    expected = embedder.embed(["Leave\nAnnual leave\n240 hours."])[0]
    np.testing.assert_allclose(embedded.embedding, expected, atol=1e-6)
    assert document.embedding is None
    assert embedded.id == document.id
    assert embedded.content == document.content


def test_passages_without_text_do_not_stop_a_batch(caplog: pytest.LogCaptureFixture) -> None:
    documents = [Document(content=None), Document(content=""), Document(content="Text.")]
    embedded = PassageEmbedder(device="cpu").run(documents)["documents"]
    assert all(len(document.embedding or []) == 384 for document in embedded)
    assert embedded[0].embedding == pytest.approx(embedded[1].embedding, abs=1e-6)
    assert caplog.text.count("has no text") == 2
    assert PassageEmbedder(device="cpu").run([]) == {"documents": []}


def test_both_embedders_share_one_model() -> None:
    assert shared_model(DEFAULT_EMBEDDER, "cpu", "float32") is shared_model(
        str(resolve_model(DEFAULT_EMBEDDER)), "cpu", "float32"
    )


def test_prompts_of_the_model_are_put_before_questions_and_passages(folder_copy: Path) -> None:
    plain = TextEmbedder(precision="float32")
    question = TextEmbedder(str(folder_copy), precision="float32").embed(["hello"])
    np.testing.assert_allclose(question, plain.embed(["query: hello"]), atol=1e-5)
    passage = PassageEmbedder(str(folder_copy), precision="float32").embed(["hello"])
    np.testing.assert_allclose(passage, plain.embed(["passage: hello"]), atol=1e-5)


def test_loading_is_silent_and_needs_no_network(
    folder_copy: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("the network was used")

    target = folder_copy.parent / "silent"
    shutil.copytree(folder_copy, target, symlinks=True)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    output = io.StringIO()
    with contextlib.redirect_stderr(output), contextlib.redirect_stdout(output), caplog.at_level(logging.WARNING):
        TextEmbedder(str(target), device="cpu").run("hello")
    assert output.getvalue() == ""
    assert caplog.text == ""


def test_the_fingerprint_follows_weights_and_pooling_but_not_the_place(folder_copy: Path) -> None:
    embedder = TextEmbedder()
    assert embedder.fingerprint == PassageEmbedder().fingerprint
    same = model_fingerprint(folder_copy)
    assert same == embedder.fingerprint
    other = folder_copy.parent / "other"
    shutil.copytree(folder_copy, other, symlinks=True)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "transformers_version": "99"}))
    assert model_fingerprint(other) == same
    pooling = json.loads((other / "1_Pooling" / "config.json").read_text())
    pooling["pooling_mode_cls_token"], pooling["pooling_mode_mean_tokens"] = True, False
    (other / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    assert model_fingerprint(other) != same
    (other / "model.safetensors").unlink()
    (other / "model.safetensors").write_bytes(b"other weights")
    shutil.copy(folder_copy / "1_Pooling" / "config.json", other / "1_Pooling" / "config.json")
    assert model_fingerprint(other) != same


def test_the_dimension_is_known() -> None:
    assert TextEmbedder(device="cpu").dimension == PassageEmbedder(device="cpu").dimension == 384


def test_lower_precision_stays_close(reference: np.ndarray) -> None:
    for engine, precision, least in (
        ("openvino", "bfloat16", 0.9998),
        ("torch", "bfloat16", 0.99),
        ("auto", "auto", 0.9998),
    ):
        vectors = TextEmbedder(precision=precision, engine=engine).embed(SENTENCES)
        assert vectors.dtype == np.float32
        assert (vectors * reference).sum(axis=1).min() > least


@pytest.mark.parametrize("device", ["", "gpu", "cuda:99", "meta", 3.5])
def test_devices_that_do_not_exist_are_refused(device: Any) -> None:
    with pytest.raises(ConfigurationError, match="device"):
        TextEmbedder(device=device).warm_up()


def test_wrong_parameters_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"precision must be one of auto, .*, got 'int4'"):
        TextEmbedder(precision="int4")
    with pytest.raises(ConfigurationError, match="engine must be one of auto, torch, openvino, got 'onnx'"):
        PassageEmbedder(engine="onnx")
    with pytest.raises(ConfigurationError, match="batch_size must be a whole number of at least 1, got 0"):
        PassageEmbedder(batch_size=0)
    with pytest.raises(ConfigurationError, match="text must be a string, got list"):
        TextEmbedder().run(["a"])  # type: ignore[arg-type]


def test_the_components_go_through_a_dictionary() -> None:
    for embedder, parameters in (
        (TextEmbedder(), {"model": DEFAULT_EMBEDDER, "device": None}),
        (
            TextEmbedder(precision="float32", engine="torch"),
            {"model": DEFAULT_EMBEDDER, "device": None, "precision": "float32", "engine": "torch"},
        ),
        (
            PassageEmbedder(batch_size=8),
            {
                "model": DEFAULT_EMBEDDER,
                "batch_size": 8,
                "device": None,
                "progress_bar": False,
            },
        ),
    ):
        data = embedder.to_dict()
        assert data["init_parameters"] == parameters
        assert type(embedder).from_dict(data).to_dict() == data
