from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_training
import torch
from safetensors.torch import load_file
from transformers import AutoModelForQuestionAnswering

from lodestone.components.errors import ConfigurationError
from lodestone.components.readers.tokens import PairTokenizer
from lodestone.training import read_recipe, teacher_logits
from lodestone.training.data import load_data
from lodestone.training.recipe import Data, DataFile, Distillation, Windows
from lodestone.training.running import train
from lodestone.training.teacher_layers import TeacherLayers, checked_layers
from lodestone.training.teacher_logits import TeacherLogits
from lodestone.training.windows import TrainingWindows

SMALL = Windows(max_seq_length=64, stride=16, max_query_length=20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("distillation")
    tiny_training.save_base(made / "student")
    tiny_training.save_base(made / "teacher", reader=True, seed=1, num_hidden_layers=4, hidden_size=48)
    tiny_training.save_base(made / "stranger", "roberta", reader=True)
    tiny_training.write_squad(made / "train.json", range(8))
    tiny_training.write_squad(made / "dev.json", range(20, 24))
    (made / "recipe.yaml").write_text(
        "model: base\n"
        "data: {files: [train.json]}\n"
        "windows: {max_seq_length: 64, stride: 16, max_query_length: 20}\n"
        "training: {steps: 6, batch_size: 8, learning_rate: 3e-3, dropout: 0}\n"
        "checkpoints: {every: 3}\n"
    )
    return made


def windows_of(folder: Path) -> tuple[TrainingWindows, Any]:
    tokenizer = tiny_training.make_tokenizer("bert")
    examples = load_data(Data((DataFile(str(folder / "train.json")),))).examples
    return TrainingWindows(examples, PairTokenizer(tokenizer), SMALL, 130), tokenizer


def recipe_of(folder: Path, *settings: str) -> Any:
    return read_recipe(folder / "recipe.yaml", [f"model={folder / 'student'}", *settings])


def test_a_teachers_logits_are_kept_for_every_window(folder: Path, tmp_path: Path) -> None:
    windows, tokenizer = windows_of(folder)
    kept = TeacherLogits(str(folder / "teacher"), windows, tokenizer, tmp_path)
    teacher = AutoModelForQuestionAnswering.from_pretrained(folder / "teacher").eval()
    batch = windows.collate([3, 0, 17])
    with torch.no_grad():
        expected = teacher(**{name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")})
    start, end = kept.batch([3, 0, 17], batch["input_ids"].shape[1])
    there = batch["attention_mask"] == 1
    # Computed in bfloat16 where the CPU has it, kept in 16 bits.
    torch.testing.assert_close(start[there], expected.start_logits[there], rtol=0.02, atol=0.02)
    torch.testing.assert_close(end[there], expected.end_logits[there], rtol=0.02, atol=0.02)
    (file,) = tmp_path.glob("*.npy")
    before = file.stat().st_mtime_ns
    again = TeacherLogits(str(folder / "teacher"), windows, tokenizer, tmp_path)
    assert np.array_equal(again.batch([5], 40)[0], kept.batch([5], 40)[0])
    assert file.stat().st_mtime_ns == before
    assert not list(tmp_path.glob("*.part"))


def test_a_reading_that_was_stopped_goes_on_where_it_was(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows, tokenizer = windows_of(folder)
    teacher, width = str(folder / "teacher"), int(windows.lengths.max())
    everything = list(range(len(windows)))
    monkeypatch.setattr(teacher_logits, "KEPT_EVERY", 0.0)
    monkeypatch.setattr(teacher_logits, "_groups", lambda order, lengths, tokens: [[number] for number in order])
    whole = TeacherLogits(teacher, windows, tokenizer, tmp_path / "whole").batch(everything, width)

    def stop(line: str) -> None:
        if " 9 of " in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        TeacherLogits(teacher, windows, tokenizer, tmp_path / "stopped", stop)
    lines: list[str] = []
    resumed = TeacherLogits(teacher, windows, tokenizer, tmp_path / "stopped", lines.append)
    assert lines[1] == f"the teacher has read 10 of {len(windows)} windows"
    assert torch.equal(resumed.batch(everything, width), whole)
    assert [path.suffix for path in (tmp_path / "stopped").iterdir()] == [".npy"]


def test_a_student_comes_close_to_its_teacher(folder: Path, tmp_path: Path) -> None:
    settings = ["training.steps=80", f"distillation={{teacher: {folder / 'teacher'}, weight: 1.0, temperature: 1.0}}"]
    trained = train(recipe_of(folder, *settings), tmp_path / "reader")
    windows, _ = windows_of(folder)
    batch = windows.collate(list(range(len(windows))))
    given = {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
    found = {}
    for name, place in (("student", trained.folder), ("teacher", folder / "teacher")):
        with torch.no_grad():
            logits = AutoModelForQuestionAnswering.from_pretrained(place).eval()(**given).start_logits
        found[name] = logits.masked_fill(batch["attention_mask"] == 0, -1e9).softmax(-1)
    torch.testing.assert_close(found["student"], found["teacher"], rtol=0, atol=0.08)


def test_two_teachers_are_read_apart_and_teach_together(folder: Path, tmp_path: Path) -> None:
    tiny_training.save_base(tmp_path / "second", reader=True, seed=2)
    teachers = [folder / "teacher", tmp_path / "second"]
    settings = [f"distillation={{teacher: [{teachers[0]}, {teachers[1]}], weight: 1.0}}", "training.steps=40"]
    trained = train(recipe_of(folder, *settings), tmp_path / "reader")
    assert len(list((trained.folder / "teacher").glob("*.npy"))) == 2
    alone = train(recipe_of(folder, settings[0].replace(f", {teachers[1]}", ""), settings[1]), tmp_path / "alone")
    windows, _ = windows_of(folder)
    batch = windows.collate(list(range(len(windows))))
    given = {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
    shares = {}
    for place in (*teachers, trained.folder, alone.folder):
        with torch.no_grad():
            logits = AutoModelForQuestionAnswering.from_pretrained(place).eval()(**given).start_logits
        shares[place] = (logits.masked_fill(batch["attention_mask"] == 0, -1e9) / 1.5).softmax(-1)
    mean = (shares[teachers[0]] + shares[teachers[1]]) / 2

    def gap(place: Path) -> float:
        return float((mean * (mean / shares[place]).log().nan_to_num()).sum(-1).mean())

    assert gap(trained.folder) < 0.5 * gap(alone.folder)
    assert "teacher:\n  - teacher\n  - second" in (trained.folder / "README.md").read_text()


def test_layers_are_learned_of_one_teacher_only(folder: Path) -> None:
    two = f"distillation={{teacher: [{folder / 'teacher'}, {folder / 'teacher'}], kind: intermediate}}"
    with pytest.raises(ConfigurationError, match="the layers of one teacher are learned, not of 2; name one"):
        recipe_of(folder, two)


def test_a_distillation_that_is_resumed_ends_with_the_same_weights(folder: Path, tmp_path: Path) -> None:
    for kind in ("prediction", "intermediate"):
        settings = [f"distillation={{teacher: {folder / 'teacher'}, kind: {kind}}}"]
        whole = train(recipe_of(folder, *settings), tmp_path / f"{kind}-whole")
        # What a run killed behind its first checkpoint leaves: everything but what came after.
        train(recipe_of(folder, *settings), tmp_path / f"{kind}-killed")
        killed = tmp_path / f"{kind}-killed"
        for name in ("training.json", "model.safetensors", "checkpoints/checkpoint-6/whole"):
            (killed / name).unlink()
        lines: list[str] = []
        resumed = train(recipe_of(folder, *settings), killed, tell=lines.append)
        assert "resuming from checkpoint-3" in lines
        ours, theirs = (load_file(each.folder / "model.safetensors") for each in (whole, resumed))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
        assert not any("distillation" in name for name in ours)


def test_learning_a_teachers_layers_brings_them_closer(folder: Path, tmp_path: Path) -> None:
    settings = [f"distillation={{teacher: {folder / 'teacher'}, kind: intermediate}}", "training.steps=60"]
    record = train(recipe_of(folder, *settings), tmp_path / "student").record
    assert "evaluation" not in record
    model = AutoModelForQuestionAnswering.from_pretrained(folder / "student")
    windows, _ = windows_of(folder)
    batch = windows.collate(list(range(16)))
    given = {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")}

    def loss(place: Path) -> float:
        student = AutoModelForQuestionAnswering.from_pretrained(place)
        # Attention alone: hidden states are compared through maps that are not kept.
        settings = Distillation((str(folder / "teacher"),), kind="intermediate", hidden_weight=0.0)
        layers = TeacherLayers(student, settings, "cpu")
        outputs = student.eval()(**given, output_hidden_states=True, output_attentions=True)
        return float(layers.loss(student, outputs, batch, batch["weights"]).detach())

    assert loss(tmp_path / "student") < 0.5 * loss(folder / "student")
    assert model.config.num_hidden_layers == 2


@pytest.mark.parametrize("family", ["bert", "roberta", "electra", "distilbert", "albert", "modernbert"])
def test_a_model_has_no_distance_to_itself_and_shows_scores_before_the_softmax(family: str, tmp_path: Path) -> None:
    tiny_training.save_base(tmp_path / "model", family, reader=True)
    student = AutoModelForQuestionAnswering.from_pretrained(tmp_path / "model").eval()
    plain = AutoModelForQuestionAnswering.from_pretrained(tmp_path / "model", attn_implementation="eager").eval()
    layers = TeacherLayers(student, Distillation((str(tmp_path / "model"),), kind="intermediate"), "cpu")
    ids = torch.randint(5, 100, (2, 12), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, 8:] = 0
    batch = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
    shown = {"output_hidden_states": True, "output_attentions": True}
    with torch.no_grad():
        outputs = student(input_ids=ids, attention_mask=mask, **shown)
        expected = plain(input_ids=ids, attention_mask=mask, **shown)
    assert float(layers.loss(student, outputs, batch, torch.ones(2))) == pytest.approx(0, abs=1e-8)
    torch.testing.assert_close(outputs.start_logits, expected.start_logits)
    shares = outputs.attentions[0].masked_fill(mask[:, None, None, :] == 0, -1e9).softmax(-1)
    torch.testing.assert_close(shares, expected.attentions[0])
    layers.detach(student)
    assert student.config._attn_implementation == "eager"


def test_layers_are_spread_evenly_or_as_they_are_named() -> None:
    assert checked_layers(None, 6, 12) == (2, 4, 6, 8, 10, 12)
    assert checked_layers(None, 4, 6) == (2, 3, 4, 6)
    assert checked_layers((1, 6), 2, 6) == (1, 6)
    for wrong in ((1,), (1, 7)):
        with pytest.raises(ConfigurationError, match="one of the teacher's 6 layers for each of the student's 2"):
            checked_layers(wrong, 2, 6)


@pytest.mark.parametrize("kind", ["prediction", "intermediate"])
def test_a_teacher_with_other_tokens_is_refused(folder: Path, tmp_path: Path, kind: str) -> None:
    settings = [f"distillation={{teacher: {folder / 'stranger'}, kind: {kind}}}"]
    with pytest.raises(ConfigurationError, match="another vocabulary than the student"):
        train(recipe_of(folder, *settings), tmp_path / "reader")


def test_a_teacher_with_shorter_windows_is_refused_whatever_is_learned_of_it(folder: Path, tmp_path: Path) -> None:
    tiny_training.save_base(tmp_path / "short", reader=True, max_position_embeddings=20)
    for kind in ("prediction", "intermediate"):
        settings = [f"distillation={{teacher: {tmp_path / 'short'}, kind: {kind}}}"]
        with pytest.raises(ConfigurationError, match="the teacher takes windows of 20 tokens"):
            train(recipe_of(folder, *settings), tmp_path / kind)


def test_a_teacher_computes_its_layers_in_the_type_that_the_student_does(folder: Path) -> None:
    windows, _ = windows_of(folder)
    batch = windows.collate([0, 1])
    given = {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
    losses = {}
    for kind in (None, "bfloat16"):
        student = AutoModelForQuestionAnswering.from_pretrained(folder / "teacher").eval()
        settings = Distillation((str(folder / "teacher"),), kind="intermediate")
        layers = TeacherLayers(student, settings, "cpu", kind)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=kind is not None):
            outputs = student(**given, output_hidden_states=True, output_attentions=True)
        losses[kind] = float(layers.loss(student, outputs, batch, batch["weights"]))
    # No distance to itself in either: rounded by the one and not by the other there would be some.
    assert losses == {None: pytest.approx(0, abs=1e-10), "bfloat16": pytest.approx(0, abs=1e-10)}


def test_unlike_heads_and_hidden_attention_are_refused_with_what_helps(folder: Path, tmp_path: Path) -> None:
    tiny_training.save_base(tmp_path / "heads", num_attention_heads=4)
    settings = [f"distillation={{teacher: {tmp_path / 'heads'}, kind: intermediate}}"]
    with pytest.raises(ConfigurationError, match="attention_weight to 0"):
        train(recipe_of(folder, *settings), tmp_path / "one")
    train(recipe_of(folder, *settings, "distillation.attention_weight=0"), tmp_path / "two")
    tiny_training.save_base(tmp_path / "mpnet", "mpnet")
    student = AutoModelForQuestionAnswering.from_pretrained(tmp_path / "mpnet")
    with pytest.raises(ConfigurationError, match="'mpnet' do not show their attention scores"):
        TeacherLayers(student, Distillation((str(tmp_path / "mpnet"),), kind="intermediate"), "cpu")
