"""A context as tokens that know which word they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lodestone.components.readers.tokens import Int32Array, PassageTokens
from lodestone.components.readers.windows import Window

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_NO_WORD = -1


@dataclass(frozen=True)
class Context:
    """A text to be read.

    :param text: The text.
    :param tokens: Its tokens.
    :param words: The number of the word that each token is of, int32, shape (tokens,); -1 where it is of none.
    """

    text: str
    tokens: PassageTokens
    words: Int32Array

    def characters(self, window: Window, first: int, last: int, *, whole_words: bool) -> tuple[int, int]:
        """Where a span stands.

        :param window: The window that it was found in.
        :param first: Its first token.
        :param last: Its last token.
        :param whole_words: Widen it to the words it begins and ends in, as far as they are in the window. It stays as
            it is where one of the two is of no word.
        :returns: First character and the one behind the last.
        """
        if whole_words and _NO_WORD not in (self.words[first], self.words[last]):
            while first > window.first and self.words[first - 1] == self.words[first]:
                first -= 1
            while last + 1 < window.last and self.words[last + 1] == self.words[last]:
                last += 1
        return int(self.tokens.starts[first]), int(self.tokens.ends[last])


def read_contexts(tokenizer: Tokenizer, texts: Sequence[str]) -> list[Context]:
    """Tokenize contexts.

    :param tokenizer: A tokenizer that neither truncates nor pads.
    :param texts: The texts.
    :returns: A context for each.
    """
    contexts = []
    for text, encoding in zip(texts, tokenizer.encode_batch(list(texts), add_special_tokens=False), strict=True):
        bounds = np.asarray(encoding.offsets, dtype=np.int32).reshape(-1, 2)
        words = [_NO_WORD if word is None else word for word in encoding.word_ids]
        tokens = PassageTokens(
            ids=np.asarray(encoding.ids, dtype=np.int32),
            starts=np.ascontiguousarray(bounds[:, 0]),
            ends=np.ascontiguousarray(bounds[:, 1]),
        )
        contexts.append(Context(text, tokens, np.asarray(words, dtype=np.int32)))
    return contexts
