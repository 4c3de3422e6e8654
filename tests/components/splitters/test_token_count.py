"""Tokens are counted segment by segment as they would be in one go."""

import random
import subprocess
import sys

import pytest

from lodestone.components.models.resolve import DEFAULT_EMBEDDER
from lodestone.components.models.tokenizer import load_tokenizer
from lodestone.components.splitters.token_count import TokenCount, exact_counts

MEASURE = """
import resource, sys
from haystack import Document
from lodestone.components.splitters import PassageSplitter
splitter = PassageSplitter()
splitter.run([Document(content="A warm-up. It has two sentences.")])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sentence = "The quick brown fox jumps over the lazy dog, and nobody minds. "
passages = splitter.run([Document(content=(sentence * 20 + "\\n\\n") * 1600)])["documents"]
print(len(passages), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def prose(characters: int) -> str:
    chance = random.Random(3)
    words = ["word", "sentences", "naïve", "end.", "1,024", "(see", "below)\n", "\n\n", "  ", "Überschrift\r\n", "日本"]
    return " ".join(chance.choices(words, k=characters // 6))


@pytest.mark.parametrize("model", ["bpe", "default"])
def test_a_long_text_has_the_tokens_that_it_has_in_one_piece(model: str, bpe: str) -> None:
    tokenizer = load_tokenizer(bpe if model == "bpe" else DEFAULT_EMBEDDER)
    text = prose(400_000)
    offsets = tokenizer.encode(text, add_special_tokens=False).offsets
    count = TokenCount(tokenizer, text)
    assert count.between(0, len(text)) == len(offsets)
    chance = random.Random(4)
    for _ in range(300):
        start, end = sorted(chance.sample(range(len(text)), 2))
        expected = sum(1 for first, last in offsets if first < end and last > start)
        assert abs(count.between(start, end) - expected) <= 1
        reach = count.reach(start, 50)
        assert reach > start
        assert count.between(start, min(reach, len(text))) <= 50


def test_a_long_text_without_spaces_has_about_as_many_tokens(tiny_bpe: str) -> None:
    tokenizer = load_tokenizer(tiny_bpe)
    text = "今天天气很好我们去公园散步。" * 15_000
    whole = len(tokenizer.encode(text, add_special_tokens=False))
    assert abs(TokenCount(tokenizer, text).between(0, len(text)) - whole) <= len(text) // 32_768


def test_an_empty_text_has_no_tokens(tiny_bpe: str) -> None:
    count = TokenCount(load_tokenizer(tiny_bpe), "")
    assert count.between(0, 1) == 0
    assert count.reach(0, 5) == 1


def test_texts_are_counted_one_by_one_however_many_there_are(tiny_bpe: str) -> None:
    tokenizer = load_tokenizer(tiny_bpe)
    texts = [str(number) for number in range(700)]
    assert exact_counts(tokenizer, iter(texts)) == [len(tokenizer.encode(text).tokens) - 2 for text in texts]
    assert exact_counts(tokenizer, []) == []


@pytest.mark.skipif(sys.platform != "linux", reason="other systems report the peak in other units")
def test_splitting_takes_little_memory_beside_the_text() -> None:
    out = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True).stdout
    passages, grown = map(int, out.split())
    assert passages > 1000
    assert grown < 150  # MB, for 2 MB of text; it was 400 when the text was tokenized in one go
