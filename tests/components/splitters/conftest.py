"""Tokenizers and splitters for the tests here: the real ones, and a byte-level BPE that needs no download."""

import os
from pathlib import Path

import pytest

from lodestone.components.splitters import PassageSplitter

SHARED = Path(os.environ.get("LODESTONE_SHARED", Path(__file__).resolve().parents[3] / "../shared"))
SAMPLE = "The quick brown fox jumps over the lazy dog. Headings stand above passages, not in them.\n\n" * 3


@pytest.fixture(scope="session")
def demo() -> Path:
    """The folder of real documents."""
    folder = SHARED / "data" / "demo"
    if not folder.is_dir():
        pytest.skip("no shared data: set LODESTONE_SHARED")
    return folder


@pytest.fixture(scope="session")
def bpe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with RoBERTa's tokenizer, or with a small one of its kind."""
    shared = SHARED / "tokenizers" / "roberta-base"
    return str(shared) if shared.is_dir() else small_bpe(tmp_path_factory)


def small_bpe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a byte-level BPE tokenizer trained on a few words: it counts whitespace, and needs many tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet)
    tokenizer.train_from_iterator([SAMPLE], trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0))
    folder = tmp_path_factory.mktemp("bpe")
    tokenizer.save(str(folder / "tokenizer.json"))
    return str(folder)


@pytest.fixture(scope="session")
def tiny_bpe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of the small byte-level tokenizer."""
    return small_bpe(tmp_path_factory)


@pytest.fixture(scope="session")
def splitter() -> PassageSplitter:
    """A splitter for the bundled models."""
    splitter = PassageSplitter()
    splitter.warm_up()
    return splitter
