"""A run's folder: whose it is, what a corrected or renewed run removes there, what is done anew with its weights."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny_training
import torch
from safetensors.torch import load_file

from lodestone.components.errors import ConfigurationError
from lodestone.training import read_recipe
from lodestone.training.running import train

RECIPE = """
model: base
data: {files: [train.json]}
windows: {max_seq_length: 64, stride: 16, max_query_length: 20}
training: {steps: 4, batch_size: 8, learning_rate: 3e-3}
checkpoints: {every: 2}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("recipe")
    tiny_training.save_base(made / "base")
    tiny_training.save_base(made / "teacher", reader=True, seed=1)
    tiny_training.write_squad(made / "train.json")
    tiny_training.write_squad(made / "dev.json", range(20, 40))
    (made / "recipe.yaml").write_text(RECIPE)
    return made


def recipe_of(folder: Path, *settings: str) -> Any:
    return read_recipe(folder / "recipe.yaml", [f"model={folder / 'base'}", *settings])


@pytest.fixture
def mine(tmp_path: Path) -> list[Path]:
    """Files of a user in the folder of a run."""
    files = [tmp_path / "reader" / name for name in ("notes.txt", "plots/loss.png", "teacher.txt")]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("precious")
    return files


def test_a_folder_with_a_run_json_of_something_else_is_refused(folder: Path, tmp_path: Path, mine: list[Path]) -> None:
    (tmp_path / "reader" / "run.json").write_text('{"mine": 1}')
    for fresh in (False, True):
        with pytest.raises(ConfigurationError, match="is not empty and holds no training run"):
            train(recipe_of(folder), tmp_path / "reader", fresh=fresh)
    assert all(file.read_text() == "precious" for file in mine)


def test_a_run_whose_run_json_is_damaged_can_be_begun_anew(folder: Path, tmp_path: Path) -> None:
    output = train(recipe_of(folder, "training.steps=1"), tmp_path / "reader").folder
    (output / "run.json").write_text('{"recipe": ')
    with pytest.raises(ConfigurationError, match=r"run.json cannot be read: .*; begin anew \(--fresh\)"):
        train(recipe_of(folder, "training.steps=1"), output)
    assert train(recipe_of(folder, "training.steps=2"), output, fresh=True).record["steps"] == 2


def test_what_no_run_made_stays_in_its_folder(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be shared"):
        train(recipe_of(folder, "training.device_batch_size=3"), tmp_path / "reader")
    with pytest.raises(ConfigurationError, match="different numbers"):
        train(recipe_of(folder, "layers=[3]"), tmp_path / "reader")
    (tmp_path / "reader" / "notes.txt").write_text("precious")
    train(recipe_of(folder), tmp_path / "reader")
    anew = train(recipe_of(folder, "training.steps=2"), tmp_path / "reader", fresh=True)
    assert anew.record["steps"] == 2
    assert [path.name for path in (tmp_path / "reader" / "checkpoints").iterdir()] == ["checkpoint-2"]
    assert (tmp_path / "reader" / "notes.txt").read_text() == "precious"


def test_a_corrected_recipe_keeps_what_the_teacher_read_unless_its_data_changed(folder: Path, tmp_path: Path) -> None:
    output, teacher = tmp_path / "reader", f"distillation={{teacher: {folder / 'teacher'}}}"
    train(recipe_of(folder, teacher), output)
    shutil.rmtree(output / "checkpoints")
    (output / "training.json").unlink()
    lines: list[str] = []
    train(recipe_of(folder, teacher, "training.learning_rate=1e-3"), output, tell=lines.append)
    assert not any("reads the data" in line for line in lines)
    (before,) = (output / "teacher").iterdir()
    shutil.rmtree(output / "checkpoints")
    (output / "training.json").unlink()
    train(recipe_of(folder, teacher, "data.files=[dev.json]"), output, tell=lines.append)
    (after,) = (output / "teacher").iterdir()
    assert any("reads the data" in line for line in lines)
    assert before != after


def test_a_model_that_does_not_fit_is_refused_before_the_teacher_reads(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="different numbers from 1 to 2"):
        train(recipe_of(folder, f"distillation={{teacher: {folder / 'teacher'}}}", "layers=[9]"), tmp_path / "reader")
    assert not (tmp_path / "reader" / "teacher").exists()


@pytest.mark.parametrize(
    ("numbers", "message"), [(None, "none.json does not exist"), (range(20, 30), "has 30 questions; .* at least 50")]
)
def test_what_cannot_be_calibrated_is_refused_before_it_is_trained(
    folder: Path, tmp_path: Path, numbers: range | None, message: str
) -> None:
    if numbers is not None:
        tiny_training.write_squad(tmp_path / "none.json", numbers)
    with pytest.raises(ConfigurationError, match=message):
        train(recipe_of(folder, f"calibration={{file: {tmp_path / 'none.json'}}}"), tmp_path / "reader")
    assert not (tmp_path / "reader" / "checkpoints").exists()


def test_what_is_done_with_the_weights_is_done_anew_where_it_changes(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "reader"
    before = load_file(train(recipe_of(folder), output).folder / "model.safetensors")
    lines: list[str] = []
    settings = ["weights=float16", "name=other", "calibration={file: dev.json, sample: 60}"]
    train(recipe_of(folder, *settings), output, tell=lines.append)
    assert any("is done anew" in line for line in lines)
    assert not any(line.startswith("step ") for line in lines)
    after = load_file(output / "model.safetensors")
    assert all(torch.equal(after[name], before[name].half()) for name in before)
    assert "# other" in (output / "README.md").read_text()
    assert (output / "calibration.json").is_file()
    lines.clear()
    train(recipe_of(folder, *settings), output, tell=lines.append)
    assert lines == [f"{output} is trained already"]
    shutil.rmtree(output / "checkpoints")
    with pytest.raises(ConfigurationError, match=r"checkpoints, .* are gone"):
        train(recipe_of(folder), output)
    train(recipe_of(folder, *settings), output)


def test_a_run_is_the_same_wherever_its_model_lies_and_another_with_another_tokenizer(
    folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder / "base", tmp_path / "moved")
    train(recipe_of(folder), tmp_path / "reader")
    lines: list[str] = []
    train(recipe_of(folder, f"model={tmp_path / 'moved'}"), tmp_path / "reader", tell=lines.append)
    assert lines == [f"{tmp_path / 'reader'} is trained already"]
    tokenizer = json.loads((tmp_path / "moved" / "tokenizer.json").read_text())
    tokenizer["normalizer"]["lowercase"] = False
    (tmp_path / "moved" / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(ConfigurationError, match="holds a run with another tokenizer"):
        train(recipe_of(folder, f"model={tmp_path / 'moved'}"), tmp_path / "reader")


def test_a_run_that_other_processes_began_says_that_it_is_not_exact(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "reader"
    train(recipe_of(folder), output)
    (output / "training.json").unlink()
    shutil.rmtree(output / "checkpoints" / "checkpoint-4")
    (output / "checkpoints" / "checkpoint-2" / "whole").write_text("2\n")
    lines: list[str] = []
    train(recipe_of(folder), output, tell=lines.append)
    assert "2 processes began what 1 go on with: the weights will differ a little" in lines
