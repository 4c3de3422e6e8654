"""The training windows as a teacher reads them: the same pieces of text, with its own numbers and special tokens."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lodestone.components.engines.engine import IntArray
from lodestone.components.errors import ConfigurationError
from lodestone.components.models import load_tokenizer
from lodestone.components.readers.tokens import PairTokenizer
from lodestone.components.readers.windows import Batch, fill
from lodestone.training.windows import TrainingWindows

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class TeacherWindows:
    """Windows for a teacher whose vocabulary holds every piece of the student's, as MPNet's holds BERT's.

    :param teacher: The teacher's name.
    :param windows: The student's windows.
    :param tokenizer: The student's tokenizer.
    :raises ConfigurationError: If the teacher cuts texts into other pieces.
    """

    def __init__(self, teacher: str, windows: TrainingWindows, tokenizer: Tokenizer) -> None:
        theirs = load_tokenizer(teacher)
        numbers = _numbers(teacher, tokenizer, theirs)
        self._ours, self._theirs = windows.template, PairTokenizer(theirs).template
        self._windows = windows
        self._questions = [numbers[each].tolist() for each in windows.questions]
        self._passages = [replace(each, ids=numbers[each.ids].astype(np.int32)) for each in windows.passages]
        self._shift = len(self._theirs.before) - len(self._ours.before)
        self._further = self._shift + len(self._theirs.middle) - len(self._ours.middle)
        self.lengths = windows.lengths + self._theirs.special_tokens - self._ours.special_tokens

    def batch(self, numbers: list[int]) -> Batch:
        """Some windows, for the teacher.

        :param numbers: Which.
        """
        chosen = [self._windows.windows[number] for number in numbers]
        moved = [replace(each, offset=each.offset + self._further) for each in chosen]
        return fill(moved, self._questions, self._passages, self._theirs)

    def columns(self, number: int) -> IntArray:
        """For each token of a student's window where the teacher has it, int64, shape (tokens,).

        Of special tokens, of which a teacher may have more or fewer in one place, the first ones are each other's.

        :param number: Which window.
        """
        window, ours, theirs = self._windows.windows[number], self._ours, self._theirs
        begin, between = len(ours.before), window.offset - len(ours.middle)
        stop = window.offset + window.last - window.first
        parts = [
            np.minimum(np.arange(begin), len(theirs.before) - 1),
            np.arange(begin, between) + self._shift,
            between + self._shift + np.minimum(np.arange(len(ours.middle)), len(theirs.middle) - 1),
            np.arange(window.offset, stop) + self._further,
            stop + self._further + np.minimum(np.arange(len(ours.after)), len(theirs.after) - 1),
        ]
        return np.concatenate(parts)


def check_length(longest: int, takes: int) -> None:
    """Refuse a teacher that has no positions for the windows.

    :param longest: Tokens of the longest window.
    :param takes: Tokens that the teacher takes.
    :raises ConfigurationError: If those are fewer.
    """
    if longest > takes:
        raise ConfigurationError(
            f"the teacher takes windows of {takes} tokens, the recipe's longest has {longest}; lower "
            "windows.max_seq_length"
        )


def _numbers(teacher: str, ours: Tokenizer, theirs: Tokenizer) -> IntArray:
    """The teacher's number of each of the student's pieces, int64, shape (pieces,); special tokens have none: 0."""
    held, special = theirs.get_vocab(), {token.content for token in ours.get_added_tokens_decoder().values()}
    pieces = ours.get_vocab()
    missing = [piece for piece in pieces if piece not in held and piece not in special]
    if missing or _rules(ours) != _rules(theirs):
        raise ConfigurationError(
            f"the teacher {teacher!r} has another vocabulary than the student: both must cut texts into the same pieces"
        )
    numbers = np.zeros(max(pieces.values()) + 1, dtype=np.int64)
    for piece, number in pieces.items():
        numbers[number] = held.get(piece, 0)
    return numbers


def _rules(tokenizer: Tokenizer) -> dict[str, Any]:
    """What decides how a text is cut, beside the vocabulary."""
    parts = json.loads(tokenizer.to_str())
    model = {name: value for name, value in parts["model"].items() if name not in ("vocab", "unk_id")}
    return {"normalizer": parts["normalizer"], "pre_tokenizer": parts["pre_tokenizer"], "model": model}
