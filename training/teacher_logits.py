"""A teacher's logits for every training window, computed once and kept on disk."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lodestone.components.engines import READER, Engine, checked_device, make_engine
from lodestone.components.engines.engine import IntArray
from lodestone.components.engines.openvino_engine import best_precision
from lodestone.components.engines.weights import model_digest
from lodestone.components.errors import ConfigurationError
from lodestone.components.models import load_tokenizer, resolve_model
from lodestone.components.readers.tokens import PairTokenizer
from lodestone.components.readers.windows import fill
from lodestone.evaluation.fingerprint import fingerprint
from lodestone.training.windows import TrainingWindows

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer


class TeacherLogits:
    """Start and end logits of a teacher: float16, one after the other, in the order of the windows.

    :param teacher: The teacher's name, as for `resolve_model`.
    :param windows: The windows.
    :param tokenizer: The student's tokenizer.
    :param folder: Where they are kept; 4 bytes a token.
    :raises ConfigurationError: If there is no such reader, its vocabulary is another, or it takes shorter windows.
    """

    def __init__(self, teacher: str, windows: TrainingWindows, tokenizer: Tokenizer, folder: Path) -> None:
        model = resolve_model(teacher)
        check_vocabulary(teacher, tokenizer)
        self._lengths = windows.lengths
        self._starts = np.concatenate([[0], np.cumsum(self._lengths)])
        name = fingerprint("teacher", model_digest(model), windows.fingerprint())[:32]
        file = folder / f"{name}.npy"
        if not file.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            self._make(model, windows, file)
        self._logits = np.load(file, mmap_mode="r")

    def batch(self, numbers: Sequence[int], width: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The logits of some windows.

        :param numbers: Which.
        :param width: Tokens of the longest window.
        :returns: Start and end logits, float32, shape (windows, width), 0 behind a window's end.
        """
        import torch

        logits = np.zeros((2, len(numbers), width), dtype=np.float32)
        for row, number in enumerate(numbers):
            start = self._starts[number]
            logits[:, row, : self._lengths[number]] = self._logits[:, start : start + self._lengths[number]]
        return torch.from_numpy(logits[0]), torch.from_numpy(logits[1])

    def _make(self, model: Path, windows: TrainingWindows, file: Path) -> None:
        engine = _engine(model)
        if int(self._lengths.max()) > engine.max_length:
            raise ConfigurationError(
                f"the teacher takes windows of {engine.max_length} tokens, the recipe's longest has "
                f"{int(self._lengths.max())}; lower windows.max_seq_length"
            )
        part = file.with_suffix(f".{os.getpid()}.part")
        kept = np.lib.format.open_memmap(part, mode="w+", dtype=np.float16, shape=(2, int(self._starts[-1])))
        order = np.argsort(-self._lengths, kind="stable")
        groups = _groups(order.tolist(), self._lengths, engine.batch_tokens)
        inputs = (_inputs(windows, group, engine.takes_segments) for group in groups)
        for group, found in zip(groups, engine.forward_many(inputs), strict=True):
            for row, number in enumerate(group):
                start, length = self._starts[number], self._lengths[number]
                for which, logits in enumerate(("start_logits", "end_logits")):
                    kept[which, start : start + length] = found[logits][row, :length]
        kept.flush()
        del kept
        part.replace(file)


def check_vocabulary(teacher: str, tokenizer: Tokenizer) -> None:
    """Refuse a teacher that reads other tokens than its student.

    :param teacher: The teacher's name.
    :param tokenizer: The student's tokenizer.
    :raises ConfigurationError: If the vocabularies or the special tokens differ.
    """
    theirs = load_tokenizer(teacher)
    same = theirs.get_vocab() == tokenizer.get_vocab()
    if not same or PairTokenizer(theirs).template != PairTokenizer(tokenizer).template:
        raise ConfigurationError(
            f"the teacher {teacher!r} has another vocabulary than the student; both must read the same tokens"
        )


def _engine(model: Path) -> Engine:
    """What runs the teacher: never an int8 version, whose logits are not quite its own."""
    device = checked_device(None)
    return make_engine(model, READER, device=device, precision=best_precision() if device == "cpu" else "auto")


def _groups(order: Sequence[int], lengths: IntArray, tokens: int) -> list[list[int]]:
    """Windows, the longest first, in batches of so many tokens."""
    groups: list[list[int]] = []
    for number in order:
        if not groups or (len(groups[-1]) + 1) * lengths[groups[-1][0]] > tokens:
            groups.append([])
        groups[-1].append(number)
    return groups


def _inputs(windows: TrainingWindows, group: Sequence[int], segments: bool) -> dict[str, IntArray]:
    batch = fill([windows.windows[each] for each in group], windows.questions, windows.passages, windows.template)
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    return {**inputs, "token_type_ids": batch.token_type_ids} if segments else inputs
