"""How many tokens a part of a text has, from one tokenization of the whole."""

import hashlib
from bisect import bisect_left, bisect_right
from pathlib import Path
from typing import TYPE_CHECKING

from lodestone.components.models.tokenizer import load_tokenizer, tokenizer_folder

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class TokenCount:
    """The tokens of one text under one tokenizer, as their offsets."""

    def __init__(self, tokenizer: "Tokenizer", text: str) -> None:
        """Tokenize a text.

        :param tokenizer: Without truncation and padding.
        :param text: Any text.
        """
        offsets = tokenizer.encode(text, add_special_tokens=False).offsets
        self._starts: list[int] = []
        self._ends: list[int] = []
        last_start = last_end = 0
        for start, end in offsets:
            # Normalizers may reorder characters; both lists have to be sorted.
            last_start, last_end = max(last_start, start), max(last_end, end)
            self._starts.append(last_start)
            self._ends.append(last_end)

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
        return max(start + 1, self._starts[last]) if last < len(self._starts) else (self._ends or [0])[-1] + 1


def tokenizer_digest(name: str) -> str:
    """A hash that tells two tokenizers apart, and is the same wherever the model lies.

    :param name: A model's name, or a folder.
    :returns: A hex SHA-256.
    """
    path: Path = tokenizer_folder(name) / "tokenizer.json"
    data = path.read_bytes() if path.is_file() else load_tokenizer(name).to_str().encode()
    return hashlib.sha256(data).hexdigest()


def exact_counts(tokenizer: "Tokenizer", texts: list[str]) -> list[int]:
    """The number of tokens of each text alone, without special tokens.

    :param tokenizer: Without truncation and padding.
    :param texts: Any texts.
    :returns: One number a text.
    """
    return [len(encoding) for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
