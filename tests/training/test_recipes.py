"""The shipped recipes: what the published cards state, and a few steps of each on a small model of its architecture."""

import json
from pathlib import Path
from typing import Any

import pytest
import tiny_training

from lodestone.components.models import DEFAULT_EMBEDDER, DEFAULT_READER
from lodestone.training import read_recipe, shipped_recipes
from lodestone.training.running import train

# Name: length, stride, question, batch, rate, warm-up, epochs.
STATED: dict[str, tuple[float, ...]] = {
    "roberta-large-squad-v1": (320, 128, 64, 8, 2e-5, 2400, 2),
    "roberta-base-1b-1-squad2": (384, 128, 64, 16, 3e-5, 0, 10),
    "spanbert-large-squad-v1": (512, 128, 64, 32, 2e-5, 0.1, 4),
    "roberta-base-squad2": (386, 128, 64, 96, 3e-5, 0.2, 2),
    "tinyroberta-squad2": (384, 128, 64, 96, 3e-5, 0.2, 4),
}
OURS = {"reader-minilm", "reader-minilm-3-layers"}
# Base model, teacher, layers of what comes out; of the others a RoBERTa of 2 layers.
BASES = {
    "spanbert-large-squad-v1": ("bert", "teacher", 2),
    "tinyroberta-squad2-step1": ("twelve", "twelve", 6),
    "reader-minilm": ("bert", "teacher", 2),
    "reader-minilm-3-layers": ("six", "six", 3),
}
# A tokenizer of bytes makes many tokens of a word; the models are as small as their positions allow.
SMALLER = ["windows={max_seq_length: 100, stride: 16, max_query_length: 60}", "training.precision=float32"]


@pytest.mark.parametrize("name", STATED)
def test_a_recipe_says_what_its_card_says(name: str) -> None:
    recipe = read_recipe(name)
    windows, training = recipe.windows, recipe.training
    found = (windows.max_seq_length, windows.stride, windows.max_query_length)
    found += (training.batch_size, training.learning_rate, training.warmup, training.epochs)
    assert found == STATED[name]
    assert recipe.published["source"].startswith("https://huggingface.co/")
    assert {"f1"} <= recipe.published.keys()


def test_the_cards_other_values() -> None:
    large, one_billion = read_recipe("roberta-large-squad-v1"), read_recipe("roberta-base-1b-1-squad2")
    assert large.evaluation is not None
    assert (large.training.device_batch_size, large.evaluation.batch_size, large.checkpoints.every) == (4, 10, 4000)
    assert (one_billion.lower_case, one_billion.checkpoints.every, one_billion.data.unanswerable) == (True, 1000, True)
    span = read_recipe("spanbert-large-squad-v1")
    assert span.evaluation is not None
    assert (span.training.precision, span.evaluation.metric, span.evaluation.keep_best) == ("float16", "f1", True)
    assert not span.data.unanswerable
    tiny, step1 = read_recipe("tinyroberta-squad2").distillation, read_recipe("tinyroberta-squad2-step1").distillation
    assert tiny is not None
    assert step1 is not None
    assert (tiny.kind, tiny.weight, tiny.temperature) == ("prediction", 0.75, 1.5)
    assert (tiny.teacher, step1.teacher, step1.kind) == (
        ("deepset/roberta-large-squad2",),
        ("FacebookAI/roberta-base",),
        "intermediate",
    )


def test_every_recipe_is_for_a_row_of_the_cards_or_a_reader_of_ours() -> None:
    assert set(shipped_recipes()) == {*STATED, "tinyroberta-squad2-step1", *OURS}


def test_half_the_bundled_reader_is_taught_by_all_of_it() -> None:
    recipe = read_recipe("reader-minilm-3-layers")
    assert recipe.distillation is not None
    assert (recipe.model, recipe.distillation.teacher) == (DEFAULT_READER, (DEFAULT_READER,))
    assert recipe.layers is not None
    assert len(recipe.layers) == 3
    assert read_recipe("reader-minilm").model == DEFAULT_EMBEDDER


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("recipes")
    positions = {"max_position_embeddings": 140}
    tiny_training.save_base(made / "roberta", "roberta", **positions)
    tiny_training.save_base(made / "teacher", "roberta", reader=True, seed=1, hidden_size=64, **positions)
    tiny_training.save_base(made / "bert", "bert")
    tiny_training.save_base(made / "twelve", "roberta", num_hidden_layers=12, **positions)
    tiny_training.save_base(made / "six", "bert", reader=True, num_hidden_layers=6)
    for name in ("squad2_train", "nq_train"):
        tiny_training.write_squad(made / f"{name}.json", range(6) if name == "squad2_train" else range(8, 12))
    for split, numbers in (("train", range(6)), ("dev", range(6, 8))):
        tiny_training.write_squad(made / f"{split}-v2.0.json", numbers)
        tiny_training.write_squad(made / f"{split}-v1.1.json", numbers, unanswerable=False, version="1.1")
    return made


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_recipe_runs_for_a_few_steps_on_a_small_model_of_its_architecture(
    name: str, folder: Path, tmp_path: Path
) -> None:
    base, teacher, layers = BASES.get(name, ("roberta", "teacher", 2))
    settings = [*SMALLER, f"model={folder / base}", "training.steps=3", "training.warmup=0.1"]
    if read_recipe(name).distillation is not None:
        settings.append(f"distillation.teacher={folder / teacher}")
    recipe = read_recipe(name, settings, folder)
    trained = train(recipe, tmp_path / "reader")
    assert trained.record["steps"] == 3
    config: dict[str, Any] = json.loads((trained.folder / "config.json").read_text())
    assert config["num_hidden_layers"] == layers
    assert ("evaluation" in trained.record) == (name in STATED)
    tokenizer = json.loads((trained.folder / "tokenizer.json").read_text())
    assert ("Lowercase" in json.dumps(tokenizer["normalizer"])) == recipe.lower_case
