"""Passages that were tokenized before."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence

from lodestone.components.readers.token_file import TokenFile
from lodestone.components.readers.tokens import PairTokenizer, PassageTokens

_MAX_TOKENS = 8_000_000


class TokenCache:
    """Keeps the tokens of passages, so that at query time only the question is tokenized.

    Keyed by the hash of a passage's content, for one tokenizer. Bounded: what was not asked for the longest goes first.
    Thread-safe.

    :param tokenizer: What tokenizes the passages that are not known.
    :param max_tokens: The most tokens that are kept; one takes 12 bytes. The default keeps at most 96 MB.
    :param disk: Where they are kept beyond this process as well; None for memory only.
    """

    def __init__(self, tokenizer: PairTokenizer, max_tokens: int = _MAX_TOKENS, disk: TokenFile | None = None) -> None:
        self._tokenizer = tokenizer
        self._disk = disk
        self._max_tokens = max_tokens
        self._known: OrderedDict[bytes, PassageTokens] = OrderedDict()
        self._tokens = 0
        self._lock = threading.Lock()

    def passages(self, texts: Sequence[str]) -> list[PassageTokens]:
        """Tokens of each passage.

        :param texts: The passages' contents.
        :returns: Their tokens, in order.
        """
        keys = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts]
        found: dict[bytes, PassageTokens] = {}
        with self._lock:
            for key in keys:
                if key in self._known:
                    self._known.move_to_end(key)
                    found[key] = self._known[key]
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        if missing:
            new = self._made(missing)
            self._keep(new)
            found |= new
        return [found[key] for key in keys]

    def _made(self, texts: dict[bytes, str]) -> dict[bytes, PassageTokens]:
        """Tokens that are not in memory: from the disk where they are there, else from the tokenizer."""
        found = self._disk.load(list(texts)) if self._disk is not None else {}
        missing = {key: text for key, text in texts.items() if key not in found}
        new = dict(zip(missing, self._tokenizer.passages(list(missing.values())), strict=True)) if missing else {}
        if new and self._disk is not None:
            self._disk.store(new)
        return found | new

    def _keep(self, new: dict[bytes, PassageTokens]) -> None:
        with self._lock:
            for key, tokens in new.items():
                if key not in self._known and len(tokens) <= self._max_tokens:
                    self._known[key] = tokens
                    self._tokens += len(tokens)
            while self._tokens > self._max_tokens:
                _, dropped = self._known.popitem(last=False)
                self._tokens -= len(dropped)
