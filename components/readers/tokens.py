"""Question and passage as token ids, computed apart, and the special tokens that join them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lodestone.components.errors import ConfigurationError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Int32Array = NDArray[np.int32]


@dataclass(frozen=True)
class PassageTokens:
    """A passage's tokens without special ones.

    :param ids: Token ids, int32, shape (tokens,).
    :param starts: Each token's first character in the passage, int32, shape (tokens,).
    :param ends: The character after each token, int32, shape (tokens,).
    """

    ids: Int32Array
    starts: Int32Array
    ends: Int32Array

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class PairTemplate:
    """The special tokens of `[CLS] question [SEP] passage [SEP]` and the segment id of each part.

    Read off the tokenizer's own post-processor, so it is right for every family: RoBERTa puts two separators in the
    middle, ALBERT and DeBERTa name theirs differently.
    """

    before: tuple[int, ...]
    middle: tuple[int, ...]
    after: tuple[int, ...]
    question_segment: int
    passage_segment: int
    middle_segments: tuple[int, ...]
    after_segments: tuple[int, ...]
    pad_id: int

    @property
    def special_tokens(self) -> int:
        """How many special tokens a window holds."""
        return len(self.before) + len(self.middle) + len(self.after)


class PairTokenizer:
    """Tokenizes questions and passages apart, which gives the same ids as tokenizing them as a pair.

    :param tokenizer: A `tokenizers.Tokenizer` without truncation and padding.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.template = _read_template(tokenizer)

    def fingerprint(self) -> bytes:
        """What tells this tokenizer from every other: 16 bytes of a hash of all it consists of, and of its library."""
        parts = f"{version('tokenizers')}\n{self._tokenizer.to_str()}"
        return hashlib.sha256(parts.encode("utf-8", "surrogatepass")).digest()[:16]

    def questions(self, texts: list[str]) -> list[list[int]]:
        """Token ids of each question, uncut."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    def passages(self, texts: list[str]) -> list[PassageTokens]:
        """Tokens of each passage, uncut, with character offsets."""
        return [
            _passage_tokens(encoding.ids, encoding.offsets)
            for encoding in self._tokenizer.encode_batch(texts, add_special_tokens=False)
        ]


def _passage_tokens(ids: list[int], offsets: list[tuple[int, int]]) -> PassageTokens:
    bounds = np.asarray(offsets, dtype=np.int32).reshape(-1, 2)
    return PassageTokens(
        ids=np.asarray(ids, dtype=np.int32),
        starts=np.ascontiguousarray(bounds[:, 0]),
        ends=np.ascontiguousarray(bounds[:, 1]),
    )


def _read_template(tokenizer: Tokenizer) -> PairTemplate:
    probe = tokenizer.encode("question", "passage")
    parts = probe.sequence_ids
    questions = [i for i, part in enumerate(parts) if part == 0]
    passages = [i for i, part in enumerate(parts) if part == 1]
    if not questions or not passages or questions[-1] > passages[0] or questions[0] == 0:
        raise ConfigurationError(
            "this tokenizer does not build [CLS] question [SEP] passage [SEP] windows, which an extractive reader "
            "needs; name the tokenizer that the model was trained with (`tokenizer=`)"
        )
    first, last = questions[0], questions[-1] + 1
    begin, stop = passages[0], passages[-1] + 1
    padding = [tokenizer.token_to_id(token) for token in ("[PAD]", "<pad>")]
    known = [token_id for token_id in padding if token_id is not None]
    return PairTemplate(
        before=tuple(probe.ids[:first]),
        middle=tuple(probe.ids[last:begin]),
        after=tuple(probe.ids[stop:]),
        question_segment=probe.type_ids[first],
        passage_segment=probe.type_ids[begin],
        middle_segments=tuple(probe.type_ids[last:begin]),
        after_segments=tuple(probe.type_ids[stop:]),
        pad_id=known[0] if known else 0,
    )
