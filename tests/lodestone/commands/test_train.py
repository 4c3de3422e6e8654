"""`lodestone train` and `lodestone distil`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_training

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("train")
    tiny_training.save_base(made / "base")
    tiny_training.write_squad(made / "train.json", range(4))
    bad = json.loads((made / "train.json").read_text())
    bad["data"][0]["paragraphs"][0]["qas"][0]["answers"][0]["answer_start"] += 1
    (made / "bad.json").write_text(json.dumps(bad))
    (made / "recipe.yaml").write_text(
        f"model: {made / 'base'}\ndata: {{files: [train.json]}}\n"
        "windows: {max_seq_length: 64, stride: 16, max_query_length: 20}\ntraining: {steps: 2, batch_size: 4}\n"
    )
    return made


def test_a_reader_is_trained_and_pushed(lodestone: Run, folder: Path, tmp_path: Path) -> None:
    output, pushed = tmp_path / "reader", tmp_path / "pushed"
    result = lodestone("train", folder / "recipe.yaml", "--output", output, "--push", pushed, "--json")
    assert result.code == 0, result.err
    said = json.loads(result.out)
    assert (said["output"], said["pushed"], said["steps"], said["questions"]) == (str(output), str(pushed), 2, 12)
    assert (pushed / "model.safetensors").is_file()
    again = lodestone("train", folder / "recipe.yaml", "--output", output)
    assert (again.code, again.out) == (0, f"the reader is in {output}\n")
    assert "trained already" in again.err


def test_a_reader_is_distilled(lodestone: Run, folder: Path, tmp_path: Path) -> None:
    teacher = f"distillation={{teacher: {folder / 'base'}, kind: intermediate}}"
    result = lodestone("distil", folder / "recipe.yaml", "--output", tmp_path / "reader", "--set", teacher)
    assert result.code == 0, result.err
    assert "answers no questions" in (tmp_path / "reader" / "README.md").read_text()


@pytest.mark.parametrize(
    ("command", "options", "message"),
    [
        ("train", ["--set", "distillation={teacher: base}"], "has a distillation section; run `lodestone distil`"),
        ("distil", [], "has no distillation section; run `lodestone train`"),
        ("train", ["--set", "training.steps=none"], "--set training.steps: steps must be a whole number, got 'none'"),
        ("train", ["--set", "model=no-such-folder"], "there is no model folder 'no-such-folder'"),
        ("train", ["--data-folder", "nowhere"], "nowhere/train.json does not exist"),
        ("train", ["--set", "data.files=bad.json"], "bad.json: question '0-0' has the answer 'Ida Holm' at 32"),
        ("train", ["--push", "nonsense"], "--push takes OWNER/NAME"),
        ("train", ["--output", "{folder}/recipe.yaml"], "is a file; name a folder"),
        ("train", ["--output", "{folder}"], "is not empty and holds no training run"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_done(
    lodestone: Run, folder: Path, tmp_path: Path, command: str, options: list[str], message: str
) -> None:
    given = [option.replace("{folder}", str(folder)) for option in options]
    output = [] if "--output" in given else ["--output", tmp_path / "reader"]
    result = lodestone(command, folder / "recipe.yaml", *output, *given)
    assert result.code == 2
    assert message in result.err
    assert not list(tmp_path.glob("**/model.safetensors"))


def test_an_unknown_recipe_names_the_shipped_ones(lodestone: Run, tmp_path: Path) -> None:
    result = lodestone("train", "roberta", "--output", tmp_path / "reader")
    assert result.code == 2
    assert "roberta-base-squad2" in result.err
