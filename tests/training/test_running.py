"""Whole runs: a reader comes out that our reader reads, and a run that was killed ends where it would have ended."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_training
import torch
from haystack import Document
from safetensors.torch import load_file

from lodestone import ExtractiveReader
from lodestone.components.errors import ConfigurationError, LodestoneError
from lodestone.training import read_recipe
from lodestone.training.checkpoints import run_folder
from lodestone.training.running import train

RECIPE = """
model: base
data: {files: [train.json]}
windows: {max_seq_length: 64, stride: 16, max_query_length: 20}
training: {steps: 12, batch_size: 8, learning_rate: 3e-3, warmup: 0.1}
checkpoints: {every: 3}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe, its data and its base model."""
    made = tmp_path_factory.mktemp("recipe")
    tiny_training.save_base(made / "base")
    tiny_training.write_squad(made / "train.json")
    tiny_training.write_squad(made / "dev.json", range(20, 40))
    (made / "recipe.yaml").write_text(RECIPE)
    return made


def recipe_of(folder: Path, *settings: str) -> Any:
    return read_recipe(folder / "recipe.yaml", [f"model={folder / 'base'}", *settings])


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def same(one: Path, other: Path) -> bool:
    ours, theirs = weights(one), weights(other)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.fixture(scope="module")
def undisturbed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing stopped."""
    return train(recipe_of(folder), tmp_path_factory.mktemp("undisturbed") / "reader").folder


def test_a_trained_reader_answers_and_is_calibrated_and_judged(folder: Path, tmp_path: Path) -> None:
    settings = [
        "training.steps=90",
        "training.batch_size=16",
        "training.dropout=0",
        "evaluation={file: dev.json, every: 45}",
        "calibration={file: dev.json, sample: 60}",
        "weights=float16",
        "published={source: nowhere}",
    ]
    lines: list[str] = []
    trained = train(recipe_of(folder, *settings), tmp_path / "reader", tell=lines.append)
    assert trained.record["evaluation"]["metrics"]["HasAns_f1"] > 90
    assert [entry["step"] for entry in trained.record["history"] if "eval_f1" in entry] == [45, 90]
    assert any(line.startswith("step 45 of 90: exact") for line in lines)
    reader = ExtractiveReader(str(trained.folder), engine="torch")
    passage = Document(content=tiny_training.paragraph(3))
    answer = reader.run("Who built the Dunlin?", [passage])["answers"][0]
    assert answer.data == "Ole Berg"
    assert reader.calibrated
    assert {tensor.dtype for tensor in weights(trained.folder).values()} == {torch.float16}
    card = (trained.folder / "README.md").read_text()
    assert "60 questions of dev.json" in card
    assert "Its probabilities were fitted to this file, too." in card
    assert '"No answer" is said where its calibrated probability is above one half' in card
    assert "source: nowhere" in card
    assert str(folder) not in card


def test_a_finished_run_is_not_done_again(undisturbed: Path, folder: Path) -> None:
    lines: list[str] = []
    before = (undisturbed / "model.safetensors").stat().st_mtime_ns
    train(recipe_of(folder), undisturbed, tell=lines.append)
    assert "trained already" in lines[-1]
    assert (undisturbed / "model.safetensors").stat().st_mtime_ns == before


def test_whoever_may_read_the_folder_may_read_the_weights(undisturbed: Path) -> None:
    modes = {(undisturbed / name).stat().st_mode for name in ("model.safetensors", "config.json")}
    assert len(modes) == 1


def test_the_same_recipe_gives_the_same_weights_and_another_seed_others(
    undisturbed: Path, folder: Path, tmp_path: Path
) -> None:
    again = train(recipe_of(folder, "checkpoints.every=100"), tmp_path / "again").folder
    assert same(undisturbed, again)
    other = train(recipe_of(folder, "training.seed=1"), tmp_path / "other").folder
    assert not same(undisturbed, other)


def kill_at(step: int, folder: Path, output: Path, *settings: str) -> None:
    """Run a recipe in a process of its own and kill that in the middle of a step."""
    code = (
        "import os, signal, sys\n"
        "from lodestone.training import read_recipe\n"
        "from lodestone.training.reader_trainer import ReaderTrainer\n"
        "from lodestone.training.running import train\n"
        "computed = ReaderTrainer.compute_loss\n"
        "def killed(self, *given, **named):\n"
        f"    if self.state.global_step == {step}:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return computed(self, *given, **named)\n"
        "ReaderTrainer.compute_loss = killed\n"
        "train(read_recipe(sys.argv[1], sys.argv[3:]), __import__('pathlib').Path(sys.argv[2]))\n"
    )
    given = [f"model={folder / 'base'}", *settings]
    command = [sys.executable, "-c", code, str(folder / "recipe.yaml"), str(output), *given]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == -signal.SIGKILL, result.stderr[-2000:]


def test_a_killed_run_ends_with_the_weights_of_an_undisturbed_one(folder: Path, tmp_path: Path) -> None:
    # Epochs of 8 steps of 2 passes: it is resumed inside the second one, with dropout, which draws from the state that
    # a checkpoint keeps, and its evaluation draws nothing.
    settings = [
        "training.device_batch_size=4",
        "training.dropout=0.1",
        "evaluation={file: dev.json, every: 4, sample: 10, patience: 50}",
    ]
    whole = train(recipe_of(folder, *settings), tmp_path / "whole").folder
    kill_at(10, folder, tmp_path / "killed", *settings)
    assert not (tmp_path / "killed" / "model.safetensors").exists()
    half_written = tmp_path / "killed" / "checkpoints" / "checkpoint-11"
    half_written.mkdir()
    lines: list[str] = []
    resumed = train(recipe_of(folder, *settings), tmp_path / "killed", tell=lines.append)
    assert "resuming from checkpoint-9" in lines
    assert same(whole, resumed.folder)
    assert not half_written.exists()
    steps = [entry["step"] for entry in resumed.record["history"] if "eval_f1" in entry]
    assert steps == [4, 8, 12]


def test_a_question_stays_with_its_negatives_where_its_windows_are_normalized_together(
    folder: Path, tmp_path: Path
) -> None:
    settings = ["training.shared_normalization=0.7", "negatives={share: 1.0, per_question: 2}", "training.batch_size=4"]
    whole = train(recipe_of(folder, *settings), tmp_path / "whole")
    killed = tmp_path / "killed"
    train(recipe_of(folder, *settings), killed)
    for name in ("training.json", "model.safetensors", "checkpoints/checkpoint-12/whole"):
        (killed / name).unlink()
    lines: list[str] = []
    train(recipe_of(folder, *settings), killed, tell=lines.append)
    assert "resuming from checkpoint-9" in lines
    assert same(whole.folder, killed)
    # A batch is of 4 questions: 60, a third of them without negatives, make 15 steps.
    assert whole.record["negatives"] == 80
    assert whole.record["epochs"] == pytest.approx(12 / 15, abs=1e-3)
    apart = train(recipe_of(folder, *settings[1:]), tmp_path / "apart")
    assert not same(whole.folder, apart.folder)


def test_a_run_that_is_killed_at_the_end_of_an_epoch_goes_on_exactly(
    undisturbed: Path, folder: Path, tmp_path: Path
) -> None:
    # 60 windows make 8 steps an epoch; the checkpoint is that of step 8.
    kill_at(8, folder, tmp_path / "killed", "checkpoints.every=8")
    resumed = train(recipe_of(folder, "checkpoints.every=8"), tmp_path / "killed").folder
    assert same(undisturbed, resumed)


@pytest.mark.parametrize(
    "evaluation",
    ["", "evaluation={file: dev.json, every: 3, metric: f1, keep_best: true}"],
)
def test_a_run_that_is_killed_behind_its_last_step_ends_with_the_same_weights(
    folder: Path, tmp_path: Path, evaluation: str
) -> None:
    settings = [evaluation] if evaluation else []
    whole = train(recipe_of(folder, *settings), tmp_path / "whole")
    killed = Path(shutil.copytree(whole.folder, tmp_path / "killed"))
    for name in ("training.json", "model.safetensors", "README.md"):
        (killed / name).unlink()
    lines: list[str] = []
    again = train(recipe_of(folder, *settings), killed, tell=lines.append)
    assert "resuming from checkpoint-12" in lines
    assert same(whole.folder, killed)
    for name in ("steps", "epochs", "history", "best", "last_loss"):
        assert again.record[name] == whole.record[name]


def test_a_run_that_stopped_early_is_not_gone_on_with(folder: Path, tmp_path: Path) -> None:
    settings = ["training.learning_rate=1e-9", "evaluation={file: dev.json, every: 3, sample: 10, patience: 1}"]
    whole = train(recipe_of(folder, *settings), tmp_path / "whole")
    assert whole.record["steps"] == 6
    for name in ("training.json", "model.safetensors"):
        (whole.folder / name).rename(whole.folder / f"{name}.before")
    again = train(recipe_of(folder, *settings), whole.folder)
    assert again.record["steps"] == 6
    ours, theirs = weights(whole.folder), load_file(whole.folder / "model.safetensors.before")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_two_runs_do_not_share_a_folder(folder: Path, tmp_path: Path) -> None:
    with run_folder(tmp_path / "reader", {"recipe": "other"}, fresh=False):
        with pytest.raises(ConfigurationError, match="is being trained by another process"):
            train(recipe_of(folder), tmp_path / "reader")
        with pytest.raises(ConfigurationError, match="is being trained by another process"):
            train(recipe_of(folder), tmp_path / "reader", fresh=True)
        assert (tmp_path / "reader" / "run.json").exists()


def test_a_folder_with_another_run_or_other_files_is_refused(undisturbed: Path, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds a run with another recipe"):
        train(recipe_of(folder, "training.learning_rate=1e-3"), undisturbed)
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(ConfigurationError, match="is not empty and holds no training run"):
        train(recipe_of(folder), tmp_path, fresh=True)
    assert (tmp_path / "mine.txt").exists()


def test_a_run_that_bad_data_stopped_begins_when_they_are_mended(folder: Path, tmp_path: Path) -> None:
    bad = (folder / "train.json").read_text().replace('"answer_start": 31', '"answer_start": 33', 1)
    (folder / "mended.json").write_text(bad)
    with pytest.raises(ConfigurationError, match="question '0-0' has the answer"):
        train(recipe_of(folder, "data.files=mended.json"), tmp_path / "reader")
    (folder / "mended.json").write_text((folder / "train.json").read_text())
    assert train(recipe_of(folder, "data.files=mended.json", "training.steps=1"), tmp_path / "reader").record["steps"]


def test_a_run_that_is_begun_anew_forgets_the_other(folder: Path, tmp_path: Path) -> None:
    train(recipe_of(folder, "training.steps=2"), tmp_path / "reader")
    anew = train(recipe_of(folder, "training.steps=3"), tmp_path / "reader", fresh=True)
    assert anew.record["steps"] == 3


def test_training_stops_where_nothing_gets_better(folder: Path, tmp_path: Path) -> None:
    settings = ["training.learning_rate=1e-9", "evaluation={file: dev.json, every: 2, sample: 10, patience: 2}"]
    assert train(recipe_of(folder, *settings), tmp_path / "reader").record["steps"] < 12


def test_the_best_checkpoint_is_kept_where_that_is_asked_for(folder: Path, tmp_path: Path) -> None:
    settings = ["evaluation={file: dev.json, every: 3, sample: 30, keep_best: true, metric: HasAns}"]
    with pytest.raises(ConfigurationError, match="metric must be one of f1, exact"):
        recipe_of(folder, *settings)
    settings = ["training.steps=30", "evaluation={file: dev.json, every: 3, keep_best: true, metric: f1}"]
    trained = train(recipe_of(folder, *settings), tmp_path / "reader")
    figures = [entry["eval_f1"] for entry in trained.record["history"] if "eval_f1" in entry]
    assert trained.record["best"] == max(figures)
    # The best and, beside it, the two that are kept anyway.
    assert len(list((trained.folder / "checkpoints").iterdir())) == 3


@pytest.mark.parametrize(("steps", "every"), [(60, 100), (60, 20), (4, 100), (4, 2)])
def test_weights_that_are_no_numbers_stop_the_run_and_are_not_kept(
    folder: Path, tmp_path: Path, steps: int, every: int
) -> None:
    settings = [f"training.steps={steps}", "training.learning_rate=1e30", "training.max_grad_norm=1e30"]
    settings.append("training.warmup=0")
    with pytest.raises(LodestoneError, match=r"no numbers any more|the loss is nan.*lower training"):
        train(recipe_of(folder, *settings, f"checkpoints.every={every}"), tmp_path / "reader")
    assert not list((tmp_path / "reader").rglob("whole"))
    assert not (tmp_path / "reader" / "model.safetensors").exists()


def test_bfloat16_is_computed_in_on_a_cpu(undisturbed: Path, folder: Path, tmp_path: Path) -> None:
    trained = train(recipe_of(folder, "training.precision=bfloat16"), tmp_path / "reader").folder
    assert not same(undisturbed, trained)
    for name, tensor in weights(trained).items():
        assert tensor.dtype == torch.float32, name


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.precision=float16", "float16 is for GPUs"),
        ("training.device_batch_size=3", "cannot be shared"),
        ("layers=[1, 3]", "different numbers from 1 to 2"),
        ("data.files=[nothing.json]", "nothing.json does not exist"),
        ("evaluation={file: none.json}", "none.json does not exist"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    folder: Path, tmp_path: Path, setting: str, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        train(recipe_of(folder, setting), tmp_path / "reader")
    assert not list(tmp_path.glob("reader/model*"))


def launch(folder: Path, output: Path, processes: int) -> None:
    """Run the command line in several processes on the CPU, as `accelerate launch` and `torchrun` do."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    command += ["-m", "lodestone", "train", str(folder / "recipe.yaml"), "--output", str(output)]
    command += [
        "--set",
        f"model={folder / 'base'}",
        "--set",
        "training.device_batch_size=4",
        "--set",
        "training.dropout=0",
    ]
    command += ["--set", "evaluation={file: dev.json, every: 6, sample: 11}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0, result.stderr[-3000:]


def test_two_processes_learn_what_one_does(folder: Path, tmp_path: Path) -> None:
    launch(folder, tmp_path / "two", 2)
    settings = [
        "training.device_batch_size=4",
        "training.dropout=0",
        "evaluation={file: dev.json, every: 6, sample: 11}",
    ]
    one = train(recipe_of(folder, *settings), tmp_path / "one")
    two = json.loads((tmp_path / "two" / "training.json").read_text())
    assert (one.record["processes"], two["processes"]) == (1, 2)
    ours, theirs = weights(one.folder), weights(tmp_path / "two")
    for name, tensor in ours.items():
        # These move all logits alike, or no attention: their gradients are rounding, which Adam makes as large as any.
        if not name.endswith(("key.bias", "layer.1.output.LayerNorm.bias", "qa_outputs.bias")):
            torch.testing.assert_close(tensor, theirs[name], rtol=1e-3, atol=1e-4)
    figures = [[e["eval_HasAns_f1"] for e in run["history"] if "eval_f1" in e] for run in (one.record, two)]
    assert figures[0] == pytest.approx(figures[1], abs=20)
