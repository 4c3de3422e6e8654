"""A teacher with other numbers and special tokens reads the same words, and each logit is its word's."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_training
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForQuestionAnswering

from lodestone.components.errors import ConfigurationError
from lodestone.components.readers.tokens import PairTokenizer
from lodestone.training.data import load_data
from lodestone.training.recipe import Data, DataFile, Windows
from lodestone.training.teacher_logits import TeacherLogits
from lodestone.training.teacher_windows import TeacherWindows
from lodestone.training.windows import TrainingWindows


def mpnet_tokenizer(bert: Any, **changes: Any) -> Tokenizer:
    """BERT's pieces behind four others, and RoBERTa's special tokens: as MPNet has it."""
    parts = json.loads(bert.to_str())
    special = ("<s>", "<pad>", "</s>", "<unk>")
    pieces = {piece: number + len(special) for piece, number in parts["model"]["vocab"].items()}
    parts["model"]["vocab"] = {**{piece: number for number, piece in enumerate(special)}, **pieces}
    parts["added_tokens"] = [
        {**parts["added_tokens"][0], "id": number, "content": piece} for number, piece in enumerate(special)
    ]
    parts["post_processor"] = {
        "type": "RobertaProcessing",
        "sep": ["</s>", 2],
        "cls": ["<s>", 0],
        "trim_offsets": True,
        "add_prefix_space": False,
    }
    parts.update(changes)
    return Tokenizer.from_str(json.dumps(parts))


@pytest.fixture(scope="module")
def student() -> Any:
    return tiny_training.make_tokenizer("bert")


@pytest.fixture(scope="module")
def windows(student: Any, tmp_path_factory: pytest.TempPathFactory) -> TrainingWindows:
    file = tiny_training.write_squad(tmp_path_factory.mktemp("data") / "train.json", range(8))
    examples = load_data(Data((DataFile(str(file)),))).examples
    # So short that passages are cut.
    return TrainingWindows(examples, PairTokenizer(student), Windows(24, 4, 10), 130)


@pytest.fixture(scope="module")
def teacher(student: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    tokenizer = mpnet_tokenizer(student)
    tiny_training.save_base(folder, "mpnet", reader=True, vocab_size=tokenizer.get_vocab_size(), pad_token_id=1)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def words(tokenizer: Any, ids: Any) -> list[str]:
    return [tokenizer.id_to_token(int(each)) for each in ids]


def test_the_teacher_gets_the_same_pieces_between_its_own_special_tokens(
    windows: TrainingWindows, student: Any, teacher: Path
) -> None:
    theirs = Tokenizer.from_file(str(teacher / "tokenizer.json"))
    read = TeacherWindows(str(teacher), windows, student)
    assert len({each.first for each in windows.windows}) > 1
    for number, length in enumerate(read.lengths):
        ours = words(student, windows.collate([number])["input_ids"][0])
        row = read.batch([number]).input_ids[0]
        assert len(row) == length == len(ours) + 1
        found = words(theirs, row)
        middle = ours.index("[SEP]")
        assert found == ["<s>", *ours[1:middle], "</s>", "</s>", *ours[middle + 1 : -1], "</s>"]
        seen = [found[column] for column in read.columns(number)]
        named = {"[CLS]": "<s>", "[SEP]": "</s>"}
        assert seen == [named.get(piece, piece) for piece in ours]


def test_its_logits_are_those_of_the_words(
    windows: TrainingWindows, student: Any, teacher: Path, tmp_path: Path
) -> None:
    kept = TeacherLogits(str(teacher), windows, student, tmp_path)
    read = TeacherWindows(str(teacher), windows, student)
    model = AutoModelForQuestionAnswering.from_pretrained(teacher).eval()
    for number in (0, 5, 11):
        batch = read.batch([number])
        with torch.no_grad():
            expected = model(torch.from_numpy(batch.input_ids), attention_mask=torch.from_numpy(batch.attention_mask))
        columns = read.columns(number)
        start, end = kept.batch([number], len(columns))
        np.testing.assert_allclose(start[0], expected.start_logits[0, columns], rtol=0.05, atol=0.05)
        np.testing.assert_allclose(end[0], expected.end_logits[0, columns], rtol=0.05, atol=0.05)


@pytest.mark.parametrize("change", ["pieces", "rules"])
def test_a_teacher_that_cuts_texts_otherwise_is_refused(
    windows: TrainingWindows, student: Any, tmp_path: Path, change: str
) -> None:
    if change == "rules":
        tokenizer = mpnet_tokenizer(student, normalizer={"type": "Lowercase"})
    else:
        parts = json.loads(mpnet_tokenizer(student).to_str())
        rare = max(parts["model"]["vocab"], key=lambda piece: parts["model"]["vocab"][piece])
        parts["model"]["vocab"]["elsewhere"] = parts["model"]["vocab"].pop(rare)
        tokenizer = Tokenizer.from_str(json.dumps(parts))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "config.json").write_text('{"model_type": "mpnet"}')
    with pytest.raises(ConfigurationError, match="both must cut texts into the same pieces"):
        TeacherWindows(str(tmp_path), windows, student)
