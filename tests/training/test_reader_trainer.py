"""The loss of a batch of questions is the mean of theirs, however many windows each has."""

from pathlib import Path

import pytest
import tiny_training
import torch

from lodestone.components.readers.tokens import PairTokenizer
from lodestone.training import read_recipe
from lodestone.training.base_model import load_base_model, load_base_tokenizer
from lodestone.training.data import Example
from lodestone.training.reader_trainer import Lesson, ReaderTrainer
from lodestone.training.settings import training_arguments
from lodestone.training.teacher_logits import TeacherLogits
from lodestone.training.windows import TrainingWindows

RECIPE = """
model: base
data: {files: [train.json]}
windows: {max_seq_length: 40, stride: 8, max_query_length: 12}
training: {steps: 1, batch_size: 2, dropout: 0, shared_normalization: 0.7}
"""


@pytest.mark.parametrize("taught", [False, True])
def test_questions_count_alike_whatever_they_share_a_batch_with(tmp_path: Path, taught: bool) -> None:
    tiny_training.save_base(tmp_path / "base", reader=True)
    tiny_training.save_base(tmp_path / "teacher", reader=True, seed=1)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    settings = [f"model={tmp_path / 'base'}"]
    if taught:
        settings.append(f"distillation={{teacher: {tmp_path / 'teacher'}}}")
    recipe = read_recipe(tmp_path / "recipe.yaml", settings)
    text = " ".join(tiny_training.paragraph(n) for n in range(8))
    start, short = text.index("Ole Berg"), tiny_training.paragraph(0)
    examples = [
        Example("long", "Who built the Dunlin?", text, ((start, start + 8),)),
        Example("short", "Who painted the Kestrel?", short, ()),
        Example("other", "Who built the Kestrel?", short, ((31, 39),)),
    ]
    tokenizer = load_base_tokenizer(recipe)
    pair = PairTokenizer(tokenizer)
    windows = TrainingWindows(examples, pair, recipe.windows, 130)
    logits = [TeacherLogits(str(tmp_path / "teacher"), windows, tokenizer, tmp_path / "logits")] if taught else []
    model = load_base_model(recipe).eval()
    arguments = training_arguments(recipe, tmp_path / "reader")
    trainer = ReaderTrainer(Lesson(recipe, windows, pair, (), logits), None, model=model, args=arguments)
    collate = trainer.get_train_dataloader().collate_fn

    def loss(*numbers: int) -> torch.Tensor:
        with torch.no_grad():
            found: torch.Tensor = trainer.compute_loss(model, collate(numbers))
        return found

    assert len(windows) > 5
    alone = [loss(number) for number in range(3)]
    torch.testing.assert_close(loss(0, 1, 2), sum(alone) / 3)
    torch.testing.assert_close(loss(1, 2, 0, 0), (alone[1] + alone[2] + 2 * alone[0]) / 4)
