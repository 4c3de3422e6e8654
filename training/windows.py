"""Training windows: exactly the reader's, with the tokens where the answers begin and end."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lodestone.components.errors import ConfigurationError
from lodestone.components.readers.tokens import PairTokenizer, PassageTokens
from lodestone.components.readers.windows import Window, cut, fill
from lodestone.training.data import BadQuestion, Example, report
from lodestone.training.recipe import Windows

if TYPE_CHECKING:
    import torch

NOWHERE = ((0, 0),)
"""The label of a window that does not hold the answer: its first token."""

MOST_TOGETHER = 8
"""Windows of one question that are in one batch at most: what bounds a forward pass where documents are long."""

_BATCH = 1000


@dataclass(frozen=True)
class Labels:
    """The answers of one window.

    :param spans: First and last token of each, counted in the window; ((0, 0),), its first token, for "not in here".
    :param weight: What it counts in the loss.
    """

    spans: tuple[tuple[int, int], ...]
    weight: float


class TrainingWindows:
    """The windows of all examples, in their order: what batches are made of.

    :param examples: The questions with their paragraphs.
    :param pair: Tokenizes them.
    :param settings: How they are cut.
    :param longest: Tokens that the model has positions for.
    :ivar left_out: Questions that no window could be made of, or no window with the answer whole.
    :raises ConfigurationError: If windows of the recipe's length would not get on, or none holds anything.
    """

    def __init__(self, examples: Sequence[Example], pair: PairTokenizer, settings: Windows, longest: int) -> None:
        self.template = pair.template
        self.left_out: list[BadQuestion] = []
        self.windows: list[Window] = []
        self.labels: list[Labels] = []
        self.passages = _passages(examples, pair)
        self.questions = [
            ids[: settings.max_query_length]
            for start in range(0, len(examples), _BATCH)
            for ids in pair.questions([each.question for each in examples[start : start + _BATCH]])
        ]
        self._asked: list[int] = []
        numbers = {text: number for number, text in enumerate(dict.fromkeys(each.context for each in examples))}
        asked = {each.id: number for number, each in enumerate(examples) if each.negative_of is None}
        mean = float(np.mean([each.weight for each in examples])) if examples else 1.0
        length = min(settings.max_seq_length, longest)
        for query, example in enumerate(examples):
            passage = numbers[example.context]
            tokens = self.passages[passage]
            try:
                cuts = cut(
                    query,
                    passage,
                    len(tokens),
                    question_tokens=len(self.questions[query]),
                    template=self.template,
                    length=length,
                    stride=settings.stride,
                )
            except ConfigurationError as error:
                if longest >= settings.max_seq_length:
                    raise
                raise ConfigurationError(
                    f"the model has positions for {longest} tokens only: lower windows.stride or "
                    f"windows.max_query_length ({error})"
                ) from error
            labels = [_labels(window, [_token_span(tokens, *span) for span in example.spans]) for window in cuts]
            if not any(labels) and (example.spans or not cuts):
                # Labelled as they would be they would teach that the passage does not hold the answer.
                what = "has an answer that no window holds whole" if len(tokens) else "has a context without tokens"
                self.left_out.append(BadQuestion(example.file, example.id, what))
                continue
            self.windows += cuts
            self._asked += [query if example.negative_of is None else asked[example.negative_of]] * len(cuts)
            self.labels += [Labels(spans or NOWHERE, example.weight / mean) for spans in labels]
        if not self.windows:
            raise ConfigurationError(f"there is nothing to train on:\n{report(self.left_out)}")

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, number: int) -> int:
        """A window's number: `collate` makes a batch of them."""
        return number

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each window, int64, shape (windows,)."""
        tail = len(self.template.after)
        return np.array([each.offset + each.last - each.first + tail for each in self.windows], dtype=np.int64)

    def by_question(self) -> list[list[int]]:
        """The windows of each question together, its negatives' among them: numbers, in the order of the questions.

        Of a question with many windows some are together at a time, each time with those that hold the answer.
        """
        groups: dict[int, list[int]] = {}
        for number, question in enumerate(self._asked):
            groups.setdefault(question, []).append(number)
        return [part for group in groups.values() for part in self._parts(group)]

    def _parts(self, group: list[int]) -> list[list[int]]:
        if len(group) <= MOST_TOGETHER:
            return [group]
        holding = [number for number in group if self.labels[number].spans != NOWHERE]
        always = holding[: MOST_TOGETHER // 2]
        others = [number for number in group if number not in always]
        size = MOST_TOGETHER - len(always)
        return [always + others[start : start + size] for start in range(0, len(others), size)]

    def collate(self, numbers: Sequence[int]) -> dict[str, torch.Tensor]:
        """A batch.

        :param numbers: Which windows.
        :returns: `input_ids`, `attention_mask`, `token_type_ids`: int64, shape (windows, tokens), padded on the right;
            `spans`: int64, shape (windows, most spans, 2), -1 where a window has fewer; `weights`: float32, shape
            (windows,).
        """
        import torch

        batch = fill([self.windows[number] for number in numbers], self.questions, self.passages, self.template)
        labels = [self.labels[number] for number in numbers]
        spans = np.full((len(labels), max(len(each.spans) for each in labels), 2), -1, dtype=np.int64)
        for row, each in enumerate(labels):
            spans[row, : len(each.spans)] = each.spans
        return {
            "input_ids": torch.from_numpy(batch.input_ids),
            "attention_mask": torch.from_numpy(batch.attention_mask),
            "token_type_ids": torch.from_numpy(batch.token_type_ids),
            "spans": torch.from_numpy(spans),
            "weights": torch.tensor([each.weight for each in labels], dtype=torch.float32),
        }

    def fingerprint(self) -> str:
        """SHA-256 (hex) of the windows' tokens and labels, by which cached logits and checkpoints know their data."""
        digest = hashlib.sha256(repr((self.template, len(self.windows))).encode())
        for window, labels in zip(self.windows, self.labels, strict=True):
            digest.update(repr((window.passage, window.first, window.last, labels)).encode())
            digest.update(np.asarray(self.questions[window.query], dtype=np.int64).tobytes())
        for passage in self.passages:
            digest.update(passage.ids.tobytes())
        return digest.hexdigest()

    def describe(self) -> dict[str, Any]:
        """How many windows there are, how many of them hold an answer, and their tokens."""
        held = sum(each.spans != NOWHERE for each in self.labels)
        return {"windows": len(self), "windows_with_an_answer": held, "tokens": int(self.lengths.sum())}


def _passages(examples: Sequence[Example], pair: PairTokenizer) -> list[PassageTokens]:
    texts = list(dict.fromkeys(example.context for example in examples))
    return [tokens for start in range(0, len(texts), _BATCH) for tokens in pair.passages(texts[start : start + _BATCH])]


def _token_span(tokens: PassageTokens, start: int, end: int) -> tuple[int, int]:
    """First and last token of characters, counted in the passage: the smallest span that holds them."""
    first = int(np.searchsorted(tokens.ends, start, side="right"))
    last = int(np.searchsorted(tokens.starts, end, side="left")) - 1
    return first, last


def _labels(window: Window, spans: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    moved = {
        (first - window.first + window.offset, last - window.first + window.offset): None
        for first, last in spans
        if window.first <= first <= last < window.last
    }
    return tuple(moved)
