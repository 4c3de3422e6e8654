"""The result of a run that averages is the mean of the weights that it passed through, killed or not."""

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
training: {steps: 6, batch_size: 8, learning_rate: 3e-3}
averaging: {since: 0.5, every: 2}
checkpoints: {every: 1, keep: 10}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("recipe")
    tiny_training.save_base(made / "base", reader=True)
    tiny_training.write_squad(made / "train.json")
    (made / "recipe.yaml").write_text(RECIPE)
    return made


def recipe_of(folder: Path, *settings: str) -> Any:
    return read_recipe(folder / "recipe.yaml", [f"model={folder / 'base'}", *settings])


def mean(files: list[Path]) -> dict[str, torch.Tensor]:
    loaded = [load_file(file) for file in files]
    return {name: torch.stack([each[name] for each in loaded]).mean(0) for name in loaded[0]}


def test_the_result_is_the_mean_of_the_weights_since_the_share_of_the_steps(folder: Path, tmp_path: Path) -> None:
    trained = train(recipe_of(folder), tmp_path / "reader")
    checkpoints = [trained.folder / "checkpoints" / f"checkpoint-{step}" for step in (4, 6)]
    wanted = mean([each / "model.safetensors" for each in checkpoints])
    torch.testing.assert_close(load_file(trained.folder / "model.safetensors"), wanted)
    assert trained.record["averaged"] == 2
    assert "the mean of the weights at 2 of them" in (trained.folder / "README.md").read_text()


def test_from_the_start_the_base_model_counts_and_the_last_step_does_too(folder: Path, tmp_path: Path) -> None:
    trained = train(recipe_of(folder, "averaging={since: 0, every: 4}"), tmp_path / "reader")
    held = [trained.folder / "checkpoints" / f"checkpoint-{step}" for step in (4, 6)]
    wanted = mean([each / "model.safetensors" for each in (folder / "base", *held)])
    torch.testing.assert_close(load_file(trained.folder / "model.safetensors"), wanted)


@pytest.mark.parametrize("left", [5, 6])
def test_a_run_that_goes_on_from_a_checkpoint_has_the_same_mean(folder: Path, tmp_path: Path, left: int) -> None:
    whole = train(recipe_of(folder), tmp_path / "whole").folder
    stopped = Path(shutil.copytree(whole, tmp_path / "stopped"))
    for name in ("training.json", "model.safetensors"):
        (stopped / name).unlink()
    for step in range(left + 1, 7):
        shutil.rmtree(stopped / "checkpoints" / f"checkpoint-{step}")
    again = load_file(train(recipe_of(folder), stopped).folder / "model.safetensors")
    assert all(torch.equal(again[name], weights) for name, weights in load_file(whole / "model.safetensors").items())


def test_a_run_that_stops_early_takes_its_last_weights_in_resumed_or_not(folder: Path, tmp_path: Path) -> None:
    evaluation = "evaluation={file: train.json, every: 3, sample: 10, patience: 1}"
    settings = [evaluation, "training.learning_rate=1e-9", "averaging={since: 0, every: 4}", "training.steps=20"]
    whole = train(recipe_of(folder, *settings), tmp_path / "whole")
    assert whole.record["steps"] == 6
    # Of the base model and of steps 4 and 6.
    assert whole.record["averaged"] == 3
    stopped = Path(shutil.copytree(whole.folder, tmp_path / "stopped"))
    (stopped / "training.json").unlink()
    again = train(recipe_of(folder, *settings), stopped)
    assert again.record["averaged"] == 3
    ours, theirs = (load_file(each.folder / "model.safetensors") for each in (whole, again))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_run_that_stops_before_averaging_begins_says_so(folder: Path, tmp_path: Path) -> None:
    evaluation = "evaluation={file: train.json, every: 1, sample: 10, patience: 1}"
    lines: list[str] = []
    settings = [evaluation, "training.learning_rate=1e-9", "training.steps=20"]
    trained = train(recipe_of(folder, *settings), tmp_path / "reader", tell=lines.append)
    assert (trained.record["steps"], trained.record["averaged"]) == (2, 0)
    assert "it was stopped before averaging began: its last weights are the result" in lines


def test_the_mean_and_the_best_checkpoint_cannot_both_be_the_result(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"drop averaging, or evaluation\.keep_best"):
        recipe_of(folder, "evaluation={file: train.json, every: 1, keep_best: true}")
