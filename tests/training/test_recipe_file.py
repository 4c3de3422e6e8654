from pathlib import Path

import pytest
import yaml

from lodestone.components.errors import ConfigurationError
from lodestone.training import read_recipe, shipped_recipes

LEAST = "model: base\ndata: {files: train.json}\n"


def recipe_file(folder: Path, text: str) -> Path:
    file = folder / "recipe.yaml"
    file.write_text(text)
    return file


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as error:
        read_recipe(recipe_file(folder, text))
    return [line.removeprefix(f"{folder}/") for line in str(error.value).splitlines()]


def test_a_short_recipe_has_defaults_and_its_data_lie_beside_it(tmp_path: Path) -> None:
    recipe = read_recipe(recipe_file(tmp_path, LEAST))
    assert recipe.data.files[0].file == str(tmp_path / "train.json")
    assert (recipe.windows.max_seq_length, recipe.training.epochs, recipe.evaluation) == (384, 2.0, None)
    assert read_recipe(tmp_path / "recipe.yaml", data_folder=Path("/data")).data.files[0].file == "/data/train.json"


def test_a_recipe_that_is_written_out_reads_the_same(tmp_path: Path) -> None:
    for name in shipped_recipes():
        recipe = read_recipe(name)
        again = read_recipe(recipe_file(tmp_path, yaml.safe_dump(recipe.to_dict())))
        assert again == recipe


def test_rates_may_be_written_as_people_write_them(tmp_path: Path) -> None:
    # YAML takes 3e-5 for text and 3.0e-5 for a number.
    recipe = read_recipe(recipe_file(tmp_path, LEAST + "training: {learning_rate: 3e-5, epochs: 2, warmup: 2400}\n"))
    assert (recipe.training.learning_rate, recipe.training.epochs, recipe.training.warmup) == (3e-5, 2.0, 2400.0)


def test_all_that_is_wrong_is_reported_at_once_with_its_line(tmp_path: Path) -> None:
    text = (
        "model: ''\n"
        "data:\n"
        "  files:\n"
        "    - {file: a.json, weight: 0}\n"
        "    - 7\n"
        "  bad: ignore\n"
        "trainin: {}\n"
        "training:\n"
        "  batch_size: 2.5\n"
        "  schedule: liner\n"
        "  dropout: 1\n"
        "  learning_rate: fast\n"
        "  seed: true\n"
        "negatives: {search: [bm25, words]}\n"
        "windows: 384\n"
        "distillation: {temperature: .nan}\n"
    )
    found = problems(tmp_path, text)
    expected = {
        "recipe.yaml:1: model must be text, got ''",
        "recipe.yaml:4: weight must be above 0, got 0.0",
        "recipe.yaml:5: data.files[1] must be a mapping",
        "recipe.yaml:6: bad must be one of stop, skip, got 'ignore'",
        "recipe.yaml:7: unknown key 'trainin'",
        "recipe.yaml:9: batch_size must be a whole number, got 2.5",
        "recipe.yaml:10: schedule must be one of linear, cosine, constant, got 'liner'. Did you mean 'linear'?",
        "recipe.yaml:11: dropout must be below 1, got 1.0",
        "recipe.yaml:12: learning_rate must be a number, got 'fast'",
        "recipe.yaml:13: seed must be a whole number, got true",
        "recipe.yaml:14: search[1] must be one of bm25, dense, got 'words'",
        "recipe.yaml:15: windows must be a mapping",
        "recipe.yaml:16: distillation.teacher is missing",
        "recipe.yaml:16: temperature must be a number, got nan",
    }
    assert len(found) == len(expected)
    for line in expected:
        assert any(each.startswith(line) for each in found), (line, found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a recipe must be a mapping with the keys model, data"),
        ("model: base\n", "data is missing"),
        ("model: base\ndata: {files: []}\n", "files must not be empty"),
        (LEAST + "training: {batch_size: 4, device_batch_size: 8}\n", "device_batch_size 8 is above batch_size 4"),
        (LEAST + "windows: {max_seq_length: 100}\n", "leaves no room"),
        (LEAST + "evaluation: {file: a, keep_best: true}\n", "evaluation.every is missing"),
        (LEAST + "evaluation: {file: a, patience: 2}\n", "evaluation.every is missing"),
        (LEAST + "evaluation: {file: a, every: 300, keep_best: true}\n", "must be a multiple of evaluation.every 300"),
        (LEAST + "negatives: {per_question: 2}\n", "share is 0, so there are none"),
        (LEAST + "negatives: {share: 1, per_question: 50}\n", "more than the searches find, 20"),
        (LEAST + "layers: 1\n", "layers must be a list of whole numbers"),
        (LEAST + "training: {seed: 5000000000}\n", "seed must be at most 4294967295"),
        (LEAST + f"training: {{learning_rate: 1{'0' * 400}}}\n", "learning_rate must be a number"),
        (LEAST + "distillation: {teacher: }\n", "teacher must not be empty"),
        (LEAST + "distillation: {teacher: [a, b, a]}\n", "a teacher is named twice"),
        (
            LEAST + "distillation: {teacher: [a, b], kind: intermediate}\n",
            "the layers of one teacher are learned, not of 2",
        ),
        (LEAST + "distillation: {teacher: a, kind: intermediate}\nevaluation: {file: a}\n", "drop evaluation"),
        (LEAST + "distillation: {teacher: a, kind: intermediate}\ncalibration: {file: a}\n", "drop calibration"),
        (
            LEAST + "distillation: {teacher: a, kind: intermediate}\ntraining: {shared_normalization: 1}\n",
            "kind: intermediate learns layers alone",
        ),
        (
            LEAST + "distillation: {teacher: a, weight: 1}\ntraining: {shared_normalization: 1}\n",
            "count nothing where distillation.weight is 1",
        ),
        (LEAST + "checkpoints: {keep: 1}\n", "keep must be at least 2, got 1"),
        (LEAST + "model: other\n", "already given"),
        (LEAST + "published: x\n", "published must be a mapping"),
        ("model: [", "invalid YAML"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, text: str, message: str) -> None:
    assert message in "\n".join(problems(tmp_path, text))


def test_values_are_set_over_the_files_and_are_checked_as_they_are(tmp_path: Path) -> None:
    file = recipe_file(tmp_path, LEAST)
    recipe = read_recipe(file, ["training.steps=3", "evaluation={file: dev.json, every: 2}", "layers=[1, 2]"])
    assert recipe.training.steps == 3
    assert recipe.evaluation is not None
    assert recipe.evaluation.file == str(tmp_path / "dev.json")
    assert recipe.layers == (1, 2)
    for setting, message in {
        "training.step=3": "--set training.step: unknown key 'step'",
        "training.steps=0": "--set training.steps: steps must be at least 1, got 0",
        "training": "--set takes KEY=VALUE",
        ".a=1": "--set takes KEY=VALUE",
        "layers=[": "is no YAML value",
    }.items():
        with pytest.raises(ConfigurationError) as error:
            read_recipe(file, [setting])
        assert message in str(error.value)


def test_epochs_that_would_not_be_looked_at_are_not_set(tmp_path: Path) -> None:
    file = recipe_file(tmp_path, LEAST + "training: {steps: 4}\n")
    with pytest.raises(ConfigurationError, match=r"--set training\.epochs: epochs is not looked at"):
        read_recipe(file, ["training.epochs=3"])
    assert read_recipe(file, ["training.epochs=3", "training.steps=null"]).training.epochs == 3


def test_a_recipe_that_is_not_there_or_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"no recipe 'roberta-base-squad'.* Did you mean 'roberta-base-squad2'"
    ):
        read_recipe("roberta-base-squad")
    (tmp_path / "binary.yaml").write_bytes(b"a: \xff\xfe")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        read_recipe(tmp_path / "binary.yaml")
    (tmp_path / "huge.yaml").write_bytes(b"a" * 1_000_001)
    with pytest.raises(ConfigurationError, match="larger than"):
        read_recipe(tmp_path / "huge.yaml")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_recipe(tmp_path)
