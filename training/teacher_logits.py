"""A teacher's logits for every training window, computed once and kept on disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lodestone.components.engines import READER, Engine, checked_device, make_engine
from lodestone.components.engines.engine import IntArray
from lodestone.components.engines.openvino_engine import best_precision
from lodestone.components.engines.weights import model_digest
from lodestone.components.models import resolve_model
from lodestone.evaluation.fingerprint import fingerprint
from lodestone.training.checkpoints import write_json
from lodestone.training.teacher_windows import TeacherWindows, check_length
from lodestone.training.windows import TrainingWindows

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

Tell = Callable[[str], None]

KEPT_EVERY = 60.0
"""Seconds after which what was read is kept for a run that is killed, and said."""


class TeacherLogits:
    """Start and end logits of a teacher: float16, one after the other, in the order of the windows.

    :param teacher: The teacher's name, as for `resolve_model`.
    :param windows: The windows.
    :param tokenizer: The student's tokenizer.
    :param folder: Where they are kept; 4 bytes a token. What was read when a call was killed is not read again.
    :param tell: Takes lines on how far it is.
    :ivar file: The file that they are in.
    :raises ConfigurationError: If there is no such reader, it cuts texts into other pieces, or takes shorter windows.
    """

    def __init__(
        self, teacher: str, windows: TrainingWindows, tokenizer: Tokenizer, folder: Path, tell: Tell = lambda line: None
    ) -> None:
        model = resolve_model(teacher)
        self._lengths = windows.lengths
        self._starts = np.concatenate([[0], np.cumsum(self._lengths)])
        name = fingerprint("teacher", model_digest(model), windows.fingerprint())[:32]
        self.file = folder / f"{name}.npy"
        if not self.file.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            tell(f"{teacher} reads the data, as the teacher")
            self._make(model, TeacherWindows(teacher, windows, tokenizer), self.file, tell)
        self._logits = np.load(self.file, mmap_mode="r")

    def batch(self, numbers: Sequence[int], width: int) -> torch.Tensor:
        """The logits of some windows.

        :param numbers: Which.
        :param width: Tokens of the longest window.
        :returns: Start and end logits, float32, shape (2, windows, width), 0 behind a window's end.
        """
        import torch

        logits = np.zeros((2, len(numbers), width), dtype=np.float32)
        for row, number in enumerate(numbers):
            start = self._starts[number]
            logits[:, row, : self._lengths[number]] = self._logits[:, start : start + self._lengths[number]]
        return torch.from_numpy(logits)

    def _make(self, model: Path, read: TeacherWindows, file: Path, tell: Tell) -> None:
        engine = _engine(model)
        check_length(int(read.lengths.max()), engine.max_length)
        part, mark = file.with_suffix(".part"), file.with_suffix(".read")
        done = int(mark.read_text()) if part.is_file() and mark.is_file() else 0
        shape = (2, int(self._starts[-1]))
        kept = np.lib.format.open_memmap(part, mode="r+" if done else "w+", dtype=np.float16, shape=shape)
        order = np.argsort(-read.lengths, kind="stable")[done:]
        groups = _groups(order.tolist(), read.lengths, engine.batch_tokens)
        inputs = (_inputs(read, group, engine.takes_segments) for group in groups)
        said = time.monotonic()
        for group, found in zip(groups, engine.forward_many(inputs), strict=True):
            for row, number in enumerate(group):
                start, columns = self._starts[number], read.columns(number)
                for which, logits in enumerate(("start_logits", "end_logits")):
                    kept[which, start : start + len(columns)] = found[logits][row, columns]
            done += len(group)
            if time.monotonic() - said >= KEPT_EVERY:
                kept.flush()
                write_json(mark, done)
                tell(f"the teacher has read {done:,} of {len(read.lengths):,} windows")
                said = time.monotonic()
        kept.flush()
        del kept
        part.replace(file)
        mark.unlink(missing_ok=True)


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


def _inputs(read: TeacherWindows, group: list[int], segments: bool) -> dict[str, IntArray]:
    batch = read.batch(group)
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    return {**inputs, "token_type_ids": batch.token_type_ids} if segments else inputs
