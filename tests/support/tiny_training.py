"""Small base models with tokenizers, and small files of questions, to train on in seconds."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import tiny_models

BOATS = ("Kestrel", "Heron", "Plover", "Dunlin", "Avocet", "Curlew", "Gannet", "Puffin", "Osprey", "Merlin")
BUILDERS = ("Ida Holm", "Jon Vik", "Mara Lind", "Ole Berg", "Una Dahl", "Per Strand", "Liv Moe", "Tor Lie", "Eva Ness")
_BYTE_LEVEL = ("roberta", "modernbert")


def paragraph(number: int) -> str:
    """A paragraph on a boat."""
    boat, builder = BOATS[number % len(BOATS)], BUILDERS[number % len(BUILDERS)]
    return f"The ferry {boat} was built by {builder} in {1900 + number}. She carries {20 + number} cars."


def questions(number: int) -> list[dict[str, Any]]:
    """Two questions that the paragraph answers and one that it does not, as SQuAD files have them."""
    boat, builder, text = BOATS[number % len(BOATS)], BUILDERS[number % len(BUILDERS)], paragraph(number)
    asked = [(f"Who built the {boat}?", builder), (f"How many cars does the {boat} carry?", str(20 + number))]
    entries: list[dict[str, Any]] = [
        {
            "id": f"{number}-{at}",
            "question": question,
            "answers": [{"text": answer, "answer_start": text.index(answer)}],
        }
        for at, (question, answer) in enumerate(asked)
    ]
    return [
        *entries,
        {"id": f"{number}-none", "question": f"Who painted the {boat}?", "answers": [], "is_impossible": True},
    ]


def write_squad(file: Path, numbers: range = range(20), unanswerable: bool = True, **changes: Any) -> Path:
    """A file of questions on boats.

    :param file: Where to write it.
    :param numbers: Which boats.
    :param unanswerable: Whether with questions that have no answer.
    :param changes: What the file says beside `data`.
    """
    paragraphs = [
        {"context": paragraph(n), "qas": [each for each in questions(n) if unanswerable or each["answers"]]}
        for n in numbers
    ]
    file.write_text(json.dumps({"version": "v2.0", "data": [{"title": "Boats", "paragraphs": paragraphs}], **changes}))
    return file


def save_base(folder: Path, family: str = "bert", *, reader: bool = False, seed: int = 0, **sizes: Any) -> Path:
    """A small model of a family with a tokenizer that was trained on the paragraphs.

    :param folder: Where to save it.
    :param family: As for `tiny_models.config_of`.
    :param reader: Whether it has a head for spans.
    :param seed: Of its weights.
    :param sizes: Entries of its configuration.
    """
    import torch
    from transformers import AutoModel, AutoModelForQuestionAnswering

    tokenizer = make_tokenizer(family)
    config = tiny_models.config_of(family)
    config.vocab_size = tokenizer.get_vocab_size()
    config.initializer_range = 0.05
    for name, value in sizes.items():
        setattr(config, name, value)
    torch.manual_seed(seed)
    cls: Any = AutoModelForQuestionAnswering if reader else AutoModel
    cls.from_config(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def make_tokenizer(family: str) -> Any:
    """A tokenizer of a family's kind: WordPiece, or bytes in pairs with RoBERTa's special tokens."""
    from tokenizers import Tokenizer

    return Tokenizer.from_str(_trained_tokenizer(family in _BYTE_LEVEL))


@lru_cache
def _trained_tokenizer(byte_level: bool) -> str:
    """A tokenizer as JSON, the same in all of a process: which of two equally good words are taken differs."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    texts = [text for n in range(60) for text in (paragraph(n), *(each["question"] for each in questions(n)))]
    if byte_level:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer: Any = trainers.BpeTrainer(vocab_size=500, special_tokens=specials, initial_alphabet=alphabet)
        tokenizer.train_from_iterator(texts, trainer)
        tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
        return str(tokenizer.to_str())
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=400, special_tokens=specials))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    return str(tokenizer.to_str())
