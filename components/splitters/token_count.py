"""How many tokens a part of a text has, from one tokenization of the whole."""

import hashlib
import itertools
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lodestone.components.models.tokenizer import load_tokenizer, tokenizer_folder
from lodestone.components.splitters.clusters import cut_before

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# A tokenizer's result takes some 200 bytes a character, so it is never held for more than this much of a text.
_SEGMENT_CHARACTERS = 65_536
_BATCH_TEXTS = 256


class TokenCount:
    """The tokens of one text under one tokenizer, as their offsets: eight bytes a token."""

    def __init__(self, tokenizer: "Tokenizer", text: str) -> None:
        """Tokenize a text.

        :param tokenizer: Without truncation and padding.
        :param text: Any text.
        """
        # Arrays of C integers: lists would take eight times the room, and bisecting numpy's arrays is slow.
        self._starts, self._ends = array("i"), array("i")
        last = np.zeros(2, dtype=np.int32)
        for begin, end in _segments(text):
            offsets = tokenizer.encode(text[begin:end], add_special_tokens=False).offsets
            if not offsets:
                continue
            # Normalizers may reorder characters; both lists have to be sorted.
            pairs = np.maximum(np.maximum.accumulate(np.array(offsets, dtype=np.int32) + np.int32(begin), axis=0), last)
            last = pairs[-1]
            self._starts.frombytes(pairs[:, 0].astype(np.intc).tobytes())
            self._ends.frombytes(pairs[:, 1].astype(np.intc).tobytes())

    def between(self, start: int, end: int) -> int:
        """The number of tokens that have a character in `text[start:end]`.

        Cut out and tokenized alone the part may have one or two more or less, where the ends cut a token.

        :param start: First character.
        :param end: The character after the last one.
        :returns: The number of tokens.
        """
        return max(0, bisect_left(self._starts, end) - bisect_right(self._ends, start))

    def reach(self, start: int, tokens: int) -> int:
        """Where a part that begins at a character has to end, to have at most that many tokens.

        :param start: First character.
        :param tokens: At least 1.
        :returns: An offset behind `start`; the length of the text or more where all the rest fits.
        """
        last = bisect_right(self._ends, start) + tokens
        if last < len(self._starts):
            return max(start + 1, self._starts[last])
        return self._ends[-1] + 1 if self._ends else 1


def tokenizer_digest(name: str) -> str:
    """A hash that tells two tokenizers apart, and is the same wherever the model lies.

    :param name: A model's name, or a folder.
    :returns: A hex SHA-256.
    """
    path: Path = tokenizer_folder(name) / "tokenizer.json"
    data = path.read_bytes() if path.is_file() else load_tokenizer(name).to_str().encode()
    return hashlib.sha256(data).hexdigest()


def exact_counts(tokenizer: "Tokenizer", texts: Iterable[str]) -> list[int]:
    """The number of tokens of each text alone, without special tokens.

    :param tokenizer: Without truncation and padding.
    :param texts: Any texts; they are taken some at a time.
    :returns: One number a text.
    """
    counts: list[int] = []
    remaining = iter(texts)
    while batch := list(itertools.islice(remaining, _BATCH_TEXTS)):
        counts.extend(len(encoding) for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False))
    return counts


def _segments(text: str) -> Iterator[tuple[int, int]]:
    """Cut a text into parts that a tokenizer cuts as it does the whole, or nearly so.

    A part ends before a line's end or other whitespace: many tokenizers keep a space with the word that follows it.
    Where there is none, as in scripts without spaces, a count may be one more than that of the whole.
    """
    begin = 0
    while len(text) - begin > _SEGMENT_CHARACTERS:
        limit = begin + _SEGMENT_CHARACTERS
        lowest = begin + _SEGMENT_CHARACTERS // 2
        space = next((at for white in "\n \t" if (at := text.rfind(white, lowest, limit)) >= 0), lowest)
        while space > lowest and text[space - 1].isspace():
            space -= 1
        end = space if space > lowest else cut_before(text, lowest, limit)
        yield begin, end
        begin = end
    yield begin, len(text)
