"""Attention by plain matrix products is the attention that transformers has, and a run with it ends as any other."""

from pathlib import Path
from typing import Any

import pytest
import tiny_models
import tiny_training
import torch
from safetensors.torch import load_file

from lodestone.training import read_recipe
from lodestone.training.on_cpu import attend_plainly, drop_by_masks, give_back
from lodestone.training.running import train

RECIPE = """
model: base
data: {files: [train.json]}
windows: {max_seq_length: 64, stride: 16, max_query_length: 20}
training: {steps: 6, batch_size: 8, learning_rate: 3e-3, precision: bfloat16, freeze_embeddings: true}
checkpoints: {every: 3}
"""
SEGMENTS = ("bert", "electra", "albert")


@pytest.mark.parametrize("family", tiny_models.FAMILIES)
def test_a_model_that_attends_plainly_gives_the_logits_that_it_gave(family: str, tmp_path: Path) -> None:
    model = tiny_models.save_model(family, tmp_path)
    batch = tiny_models.make_inputs(5, 60, segments=family in SEGMENTS)
    inputs = {name: torch.from_numpy(values) for name, values in batch.items()}
    before, chosen = model(**inputs), model.config._attn_implementation
    changed = attend_plainly(model)
    assert changed == (family not in ("mpnet", "deberta", "deberta-v2"))
    after = model(**inputs)
    there = inputs["attention_mask"].bool()
    for ours, theirs in ((after.start_logits, before.start_logits), (after.end_logits, before.end_logits)):
        torch.testing.assert_close(ours[there], theirs[there], atol=2e-4, rtol=1e-4)
    give_back(model)
    assert model.config._attn_implementation == chosen


def test_in_bfloat16_its_gradients_are_those_of_transformers_but_for_rounding(tmp_path: Path) -> None:
    model = tiny_models.save_model("bert", tmp_path)
    inputs = {name: torch.from_numpy(each) for name, each in tiny_models.make_inputs(5, 60, segments=True).items()}

    def gradient() -> Any:
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            model(**inputs).start_logits.float().logsumexp(-1).sum().backward()
        return torch.cat([each.grad.flatten() for each in model.parameters() if each.grad is not None])

    theirs = gradient()
    attend_plainly(model)
    ours = gradient()
    assert torch.nn.functional.cosine_similarity(ours, theirs, dim=0) > 0.99


def test_dropout_by_masks_drops_its_share_elsewhere_each_time_and_keeps_the_mean() -> None:
    model = torch.nn.Sequential(torch.nn.Dropout(0.25))
    drop_by_masks(model)
    ones = torch.ones(50, 400)
    torch.manual_seed(3)
    first, second = model(ones), model(ones)
    torch.manual_seed(3)
    assert torch.equal(model(ones), first)
    assert not torch.equal(first, second)
    for dropped in (first, second):
        assert abs((dropped == 0).float().mean() - 0.25) < 0.02
        assert abs(dropped.mean() - 1) < 0.02
    assert torch.equal(model.eval()(ones), ones)


def test_frozen_embeddings_stay_and_all_else_is_trained(tmp_path: Path) -> None:
    tiny_training.save_base(tmp_path / "base", reader=True)
    tiny_training.write_squad(tmp_path / "train.json")
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    recipe = read_recipe(tmp_path / "recipe.yaml", [f"model={tmp_path / 'base'}"])
    once, again = (train(recipe, tmp_path / name).folder for name in ("once", "again"))
    trained, repeated = (load_file(folder / "model.safetensors") for folder in (once, again))
    base = load_file(tmp_path / "base" / "model.safetensors")
    vectors = "bert.embeddings.word_embeddings.weight"
    same = {name for name in base.keys() & trained.keys() if torch.equal(base[name], trained[name])}
    assert same == {vectors}
    assert all(torch.equal(trained[name], repeated[name]) for name in trained)
    assert "lodestone_cpu" not in (once / "config.json").read_text()
