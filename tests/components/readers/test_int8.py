"""When a reader's int8 model is made without being asked for."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from haystack import Document
from tiny_models import make_inputs, save_model

from lodestone import ExtractiveReader
from lodestone.components.engines import READER
from lodestone.components.engines.cache import find_entry
from lodestone.components.engines.openvino_engine import best_precision
from lodestone.components.engines.quantization import quantize
from lodestone.components.engines.weights import model_digest
from lodestone.components.errors import ConfigurationError
from lodestone.components.models import DEFAULT_READER, resolve_model
from lodestone.components.readers.int8 import QUANTIZATION_FILE, Judgement
from lodestone.evaluation.quantizing import example_questions

WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] the lighthouse was built by ida holm in who when ?"


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small reader with random weights, and a cache of its own."""
    monkeypatch.setenv("LODESTONE_CACHE", str(tmp_path / "cache"))
    save_model("bert", tmp_path / "model")
    (tmp_path / "model" / "vocab.txt").write_text(WORDS.replace(" ", "\n"))
    return tmp_path / "model"


def test_the_samples_that_come_with_the_bundled_reader_are_the_examples() -> None:
    judgement = Judgement.of(resolve_model(DEFAULT_READER))
    assert judgement is not None
    assert judgement.good
    assert judgement.samples == tuple((question.text, question.context) for question in example_questions())


PASSAGE = Document(content="the lighthouse was built by ida holm")


def judge(model: Path, lost: float = 0.001, questions: int = 1000, **changed: Any) -> None:
    samples = [
        [f"who built the lighthouse {'? ' * at}", "the lighthouse was built by ida holm " * 3] for at in range(4)
    ]
    known = {"model_sha256": model_digest(model), "f1_lost": lost, "questions": questions, "samples": samples}
    (model / QUANTIZATION_FILE).write_text(json.dumps({**known, **changed}))


def precision_of(model: Path, **parameters: Any) -> str:
    reader = ExtractiveReader(str(model), device="cpu", **parameters)
    reader.run("who built the lighthouse ?", [PASSAGE])
    return str(reader._reader._engine.precision)  # type: ignore[union-attr]


@pytest.fixture
def unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LODESTONE_QUANTIZE", raising=False)


@pytest.mark.usefixtures("unasked")
def test_a_reader_judged_good_gets_int8_at_its_first_use_and_one_line_says_so(
    model: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    judge(model)
    assert precision_of(model) == "int8"
    said = [record.getMessage() for record in caplog.records if "int8" in record.getMessage()]
    assert said == ["Making the reader's int8 model, once, which takes about half a minute (LODESTONE_QUANTIZE=0: not)"]
    assert capfd.readouterr().out == ""
    caplog.clear()
    assert precision_of(model) == "int8"
    assert "int8" not in caplog.text


@pytest.mark.usefixtures("unasked")
@pytest.mark.parametrize(
    ("judged", "parameters"),
    [
        ({"lost": 0.004}, {}),
        ({"questions": 100}, {}),
        ({"model_sha256": "of other weights"}, {}),
        (None, {}),
        ({}, {"precision": "float32"}),
        ({}, {"engine": "torch"}),
        ({}, {"model_kwargs": {"dtype": "float32"}}),
    ],
)
def test_int8_is_not_made_unasked_elsewhere(
    model: Path, judged: dict[str, Any] | None, parameters: dict[str, Any]
) -> None:
    if judged is not None:
        judge(model, **judged)
    assert precision_of(model, **parameters) != "int8"
    assert find_entry(model, "reader-int8") is None


def test_the_variable_switches_it_off(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge(model)
    monkeypatch.setenv("LODESTONE_QUANTIZE", "0")
    assert precision_of(model) == best_precision()


@pytest.mark.usefixtures("unasked")
def test_without_nncf_one_line_at_the_first_use_says_what_to_install(
    model: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: None if name == "nncf" else find_spec(name))
    judge(model)
    assert precision_of(model) == best_precision()
    line = f"The reader runs in {best_precision()}; int8 would be faster: pip install nncf (the extra `quantize`)"
    assert [record.getMessage() for record in caplog.records if "int8" in record.getMessage()] == [line]
    caplog.clear()
    assert precision_of(model) == best_precision()
    assert "int8" not in caplog.text


@pytest.mark.usefixtures("unasked")
def test_where_int8_cannot_be_made_the_reader_answers_without(
    model: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nncf

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("no such operation")

    monkeypatch.setattr(nncf, "quantize", broken)
    judge(model)
    assert precision_of(model) == best_precision()
    assert "The int8 model cannot be made (no such operation)" in caplog.text


@pytest.mark.usefixtures("unasked")
def test_a_malformed_judgement_is_named(model: Path) -> None:
    (model / QUANTIZATION_FILE).write_text("{}")
    with pytest.raises(ConfigurationError, match=r"quantization\.json is malformed: KeyError\('model_sha256'\)"):
        precision_of(model)


@pytest.mark.usefixtures("unasked")
def test_what_was_judged_bad_here_is_not_made_good_by_use(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nncf

    entry = quantize(model, READER, [make_inputs(1, 10, segments=True)])
    judge(model)
    assert precision_of(model) == best_precision()
    # A process that waited for another one to make the model takes what that one made.
    monkeypatch.setattr(nncf, "quantize", None)
    assert quantize(model, READER, [make_inputs(1, 10, segments=True)], replace=False) == entry
