"""Judging int8 models, and the command that makes them."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_models import save_model

from lodestone.components.engines import READER, make_engine
from lodestone.components.engines.cache import cache_folder, find_entry
from lodestone.components.engines.openvino_engine import best_precision
from lodestone.evaluation import quantizing
from lodestone.evaluation.quantizing import quantize_model

Run = Callable[..., Any]
WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] the lighthouse was built by ida holm in who when ?"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LODESTONE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A small reader with random weights, and a tokenizer whose words are few."""
    save_model("bert", tmp_path / "model")
    (tmp_path / "model" / "vocab.txt").write_text(WORDS.replace(" ", "\n"))
    return tmp_path / "model"


def squad_file(folder: Path, questions: int) -> Path:
    asked = [
        {
            "id": str(at),
            "question": f"who built the lighthouse ? {'when ' * (at % 5)}",
            "answers": [{"text": "ida holm"}],
        }
        for at in range(questions)
    ]
    contexts = ["the lighthouse was built by ida holm " * (1 + at % 3) for at in range(questions)]
    paragraphs = [{"context": context, "qas": [each]} for context, each in zip(contexts, asked, strict=True)]
    path = folder / f"squad{questions}.json"
    path.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    return path


def test_the_command_prints_f1_before_and_after_and_nothing_else(lodestone: Run, model: Path, tmp_path: Path) -> None:
    result = lodestone("quantize", model, "--data", squad_file(tmp_path, 6))
    assert result.code == 0, result.err
    assert result.out.startswith("F1 before 0.")
    assert "(6 texts): too few to judge by" in result.out
    assert result.out.count("\n") == 1
    assert make_engine(model, READER, device="cpu").precision == best_precision()
    assert make_engine(model, READER, device="cpu", precision="int8").precision == "int8"


def test_json_gives_the_figures_that_are_recorded(lodestone: Run, model: Path, tmp_path: Path) -> None:
    result = lodestone("quantize", model, "--data", squad_file(tmp_path, 4), "--json")
    printed = json.loads(result.out)
    found = find_entry(model, "reader-int8")
    assert found is not None
    assert printed["entry"] == str(found[0])
    assert (printed["count"], printed["good"], printed["measure"]) == (4, False, "F1")
    for name in ("before", "after", "good", "measure"):
        assert found[1][name] == printed[name]


@pytest.mark.parametrize(
    ("lost", "questions", "precision", "verdict"),
    [
        (0.0029, 500, "int8", "it is used from now on"),
        (0.0031, 500, None, "it loses more than 0.3 points of F1"),
        (0.0, 499, None, "too few to judge by"),
    ],
)
def test_int8_is_used_unasked_only_where_enough_questions_show_that_it_keeps_the_answers(
    lost: float,
    questions: int,
    precision: str | None,
    verdict: str,
    lodestone: Run,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    figures = {"float32": 0.5, "int8": 0.5 - lost}
    monkeypatch.setattr(quantizing, "_reader_f1", lambda folder, name, judged: figures[name])
    result = lodestone("quantize", model, "--data", squad_file(tmp_path, questions))
    assert verdict in result.out
    assert make_engine(model, READER, device="cpu").precision == (precision or best_precision())


def test_the_embedder_is_judged_by_its_cosine_and_never_used_unasked(lodestone: Run, tmp_path: Path) -> None:
    save_model("bert", tmp_path / "model", reader=False)
    (tmp_path / "model" / "vocab.txt").write_text(WORDS.replace(" ", "\n"))
    (tmp_path / "model" / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True}
    (tmp_path / "model" / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    names = {"": "models.Transformer", "1_Pooling": "models.Pooling"}
    modules = [
        {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.{name}"}
        for at, (path, name) in enumerate(names.items())
    ]
    (tmp_path / "model" / "modules.json").write_text(json.dumps(modules))
    result = lodestone("quantize", tmp_path / "model", "--data", squad_file(tmp_path, 6), "--json")
    assert result.code == 0, result.err
    printed = json.loads(result.out)
    assert (printed["measure"], printed["count"], printed["good"]) == ("mean cosine", 3, False)
    assert 0.9 < printed["after"] < 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"data": []}', "holds no questions"),
        ('{"data": [{"paragraphs": []}]}', "holds no questions"),
        ('{"data": [{}]}', "data[0] is malformed: it has no `paragraphs`"),
        (
            '{"data": [{"paragraphs": [{"qas": [{"id": 1}]}]}]}',
            "data[0].paragraphs[0] is malformed: it has no `context`",
        ),
        ('{"data": [{"paragraphs": [{}]}]}', "data[0].paragraphs[0] is malformed"),
        ("not json", "is not a SQuAD file"),
        ("", "is not a SQuAD file"),
    ],
)
def test_a_file_without_questions_is_refused_and_nothing_is_made(
    lodestone: Run, model: Path, tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / "data.json").write_text(content)
    result = lodestone("quantize", model, "--data", tmp_path / "data.json")
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert find_entry(model, "reader-int8") is None
    assert lodestone("quantize", model, "--data", tmp_path / "none.json").code == 2
    assert lodestone("quantize", model, "--data", tmp_path).code == 2


KILLED = """
import sys, time
from pathlib import Path
import nncf
def stuck(*_, **__):
    Path(sys.argv[2]).touch()
    time.sleep(600)
nncf.quantize = stuck
from lodestone.evaluation.quantizing import quantize_model
quantize_model(sys.argv[1], Path(sys.argv[3]))
"""


def test_killed_half_way_it_leaves_no_model_and_the_next_run_clears_up(model: Path, tmp_path: Path) -> None:
    data, mark = squad_file(tmp_path, 4), tmp_path / "quantizing"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(model), str(mark), str(data)])
    try:
        deadline = time.monotonic() + 240
        while not mark.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        assert mark.exists()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert find_entry(model, "reader-int8") is None
    assert make_engine(model, READER, device="cpu").precision == best_precision()
    assert len(list((cache_folder() / "engines").glob("*.tmp"))) == 1

    assert quantize_model(str(model), data).measure == "F1"
    assert not list((cache_folder() / "engines").glob("*.tmp"))
    assert make_engine(model, READER, device="cpu", precision="int8").precision == "int8"
