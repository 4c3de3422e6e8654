import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import make_inputs, save_model

from lodestone.components.engines import OpenVinoEngine, TorchEngine, make_engine
from lodestone.components.engines.conversion import ConversionError
from lodestone.components.engines.openvino_engine import best_precision
from lodestone.components.errors import ConfigurationError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_model("bert", tmp_path / "model")
    return tmp_path / "model"


def test_on_a_cpu_openvino_is_chosen_in_the_fastest_precision_there_is(folder: Path) -> None:
    engine = make_engine(folder, device="cpu")
    assert isinstance(engine, OpenVinoEngine)
    assert engine.precision == best_precision()
    assert make_engine(folder, device="cpu", precision="float32").precision == "float32"


def test_torch_is_chosen_where_it_is_asked_for_or_needed(folder: Path) -> None:
    for parameters in ({"engine": "torch"}, {"model_kwargs": {"dtype": "float32"}}, {"precision": "float16"}):
        assert isinstance(make_engine(folder, device="cpu", **parameters), TorchEngine)  # type: ignore[arg-type]
    assert make_engine(folder, device="cpu", engine="torch").precision == "float32"
    assert make_engine(folder, device="cpu", engine="torch", precision="bfloat16").precision == "bfloat16"


def test_what_openvino_cannot_convert_is_run_by_torch_and_one_line_says_why(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import openvino

    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("No conversion rule for aten::strange\nmore")

    monkeypatch.setattr(openvino, "convert_model", refuse)
    with caplog.at_level(logging.WARNING):
        engine = make_engine(folder, device="cpu")
    assert isinstance(engine, TorchEngine)
    assert len(caplog.records) == 1
    assert "No conversion rule for aten::strange" in caplog.text
    assert engine.forward(make_inputs(1, 8, segments=True))["start_logits"].shape == (1, 8)
    with pytest.raises(ConfigurationError, match=r"No conversion rule .* use engine 'torch'"):
        make_engine(folder, device="cpu", engine="openvino")


def test_families_whose_graph_depends_on_the_length_are_not_converted(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForQuestionAnswering, LongformerConfig

    torch.manual_seed(0)
    config = LongformerConfig(
        vocab_size=300,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=70,
        attention_window=8,
        sep_token_id=2,
    )
    AutoModelForQuestionAnswering.from_config(config).save_pretrained(tmp_path / "model")
    with pytest.raises(ConversionError, match="longformer"):
        OpenVinoEngine(tmp_path / "model")
    engine = make_engine(tmp_path / "model", device="cpu")
    assert isinstance(engine, TorchEngine)
    inputs = make_inputs(2, 21)
    inputs["input_ids"][:, [5, 6, -1]] = 2
    assert np.isfinite(engine.forward(inputs)["start_logits"]).all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"engine": "onnx"}, "engine must be one of auto, torch, openvino, got 'onnx'"),
        ({"precision": "fp8"}, "precision must be one of auto, float32, bfloat16, float16, int8, got 'fp8'"),
        ({"engine": "openvino", "model_kwargs": {"dtype": "float32"}}, "takes no model_kwargs"),
        ({"engine": "openvino", "precision": "float16"}, "has no precision 'float16'"),
        ({"engine": "torch", "precision": "int8"}, "'int8' is for the openvino engine"),
        ({"precision": "int8"}, "lodestone quantize"),
    ],
)
def test_what_excludes_each_other_is_refused(folder: Path, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make_engine(folder, device="cpu", **parameters)


def test_answering_and_searching_with_cached_models_imports_neither_torch_nor_transformers(tmp_path: Path) -> None:
    code = """
import sys
import lodestone  # before haystack, as the command does: from then on haystack's own import of torch waits
from haystack import Document
from lodestone import ExtractiveReader, FaissDocumentStore, FaissHybridRetriever, TextEmbedder
import lodestone.pipelines.answering, lodestone.commands.ask
reader, embedder = ExtractiveReader(), TextEmbedder()
passage = Document(content="The lighthouse was built by Ida Holm in 1911.")
passage.embedding = embedder.run(passage.content)["embedding"]
with FaissDocumentStore(sys.argv[1]) as store:
    store.write_documents([passage])
    query = "Who built the lighthouse?"
    found = FaissHybridRetriever(store).run(query=query, query_embedding=embedder.run(query)["embedding"])
    print(reader.run(query, found["documents"])["answers"][0].data)
print(sorted({"torch", "transformers", "sentence_transformers"} & set(sys.modules)))
from haystack.utils import ComponentDevice
print(ComponentDevice.from_str("cpu").to_torch())
"""
    printed = []
    for run in ("cold", "warm"):
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / run)], capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout.splitlines())
    assert printed[0][0] == "Ida Holm"
    assert printed[1] == ["Ida Holm", "[]", "cpu"]
