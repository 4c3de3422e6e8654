from hypothesis import given
from hypothesis import strategies as st

from lodestone.components.models import load_tokenizer
from lodestone.components.readers.token_cache import TokenCache
from lodestone.components.readers.tokens import PairTokenizer, PassageTokens

PAIR = PairTokenizer(load_tokenizer("lodestone/reader-minilm"))


class CountingTokenizer(PairTokenizer):
    """Remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__(load_tokenizer("lodestone/reader-minilm"))
        self.asked: list[str] = []

    def passages(self, texts: list[str]) -> list[PassageTokens]:
        self.asked += texts
        return super().passages(texts)


def equal(left: PassageTokens, right: PassageTokens) -> bool:
    pairs = ((left.ids, right.ids), (left.starts, right.starts), (left.ends, right.ends))
    return all(a.tolist() == b.tolist() for a, b in pairs)


@given(
    calls=st.lists(st.lists(st.sampled_from(["", "one", "two words", "a longer text of six words"]))),
    room=st.integers(0, 20),
)
def test_tokens_are_right_whatever_is_kept(calls: list[list[str]], room: int) -> None:
    cache = TokenCache(PAIR, max_tokens=room)
    for texts in calls:
        for found, expected in zip(cache.passages(texts), PAIR.passages(texts), strict=True):
            assert equal(found, expected)


def test_a_passage_is_tokenized_once() -> None:
    tokenizer = CountingTokenizer()
    cache = TokenCache(tokenizer)
    cache.passages(["one", "two", "one"])
    cache.passages(["two", "three"])
    assert tokenizer.asked == ["one", "two", "three"]


def test_what_was_not_asked_for_the_longest_goes_first() -> None:
    tokenizer = CountingTokenizer()
    cache = TokenCache(tokenizer, max_tokens=2)
    cache.passages(["one"])
    cache.passages(["two"])
    cache.passages(["one"])
    cache.passages(["three"])
    tokenizer.asked.clear()
    cache.passages(["one", "three"])
    assert tokenizer.asked == []
    cache.passages(["two"])
    assert tokenizer.asked == ["two"]
