"""The examples of published model cards, on the real weights, against what the cards say comes out."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import transformers
from haystack import Document

import lodestone
from lodestone import ExtractiveReader

pytestmark = pytest.mark.usefixtures("hub")

CONVERSION = (
    "The option to convert models between FARM and transformers gives freedom to the user and let people easily switch "
    "between frameworks."
)


@dataclass(frozen=True)
class Card:
    """One example of a card; the last four are None where the card prints no output."""

    model: str
    question: str
    context: str
    tokenizer: str | None = None
    answer: str | None = None
    start: int | None = None
    end: int | None = None
    score: float | None = None


CARDS = [
    Card(
        "csarron/roberta-large-squad-v1",
        "What day was the game played on?",
        "The game was played on February 7, 2016 at Levi's Stadium in the San Francisco Bay Area at Santa Clara, "
        "California.",
        None,
        "February 7, 2016",
        23,
        39,
        0.8625259399414062,
    ),
    Card(
        "mrm8488/roberta-base-1B-1-finetuned-squadv2",
        "What has been discovered by scientists from China ?",
        "A new strain of flu that has the potential to become a pandemic has been identified in China by scientists.",
        None,
        "A new strain of flu",
        0,
        19,
        0.7145650685380576,
    ),
    Card(
        "mrm8488/spanbert-large-finetuned-squadv1",
        "How has been working Manuel Romero lately?",
        "Manuel Romero has been working very hard in the repository hugginface/transformers lately",
        "SpanBERT/spanbert-large-cased",
        "very hard in the repository hugginface/transformers",
        31,
        82,
        0.327230326857725,
    ),
    Card("deepset/tinyroberta-squad2", "Why is model conversion important?", CONVERSION),
    Card("deepset/roberta-base-squad2", "Why is model conversion important?", CONVERSION),
]
PRINTING = [card for card in CARDS if card.answer is not None]


def named(cards: list[Card]) -> Callable[[Any], Any]:
    return pytest.mark.parametrize("card", cards, ids=[card.model for card in cards])


@cache
def pipeline_of(model: str, tokenizer: str | None) -> Any:
    lodestone.register()
    return transformers.pipeline(
        "question-answering", model=model, tokenizer=model if tokenizer is None else tokenizer, dtype="float32"
    )


@cache
def reader_of(model: str, tokenizer: str | None) -> ExtractiveReader:
    return ExtractiveReader(model, tokenizer=tokenizer)


@named(PRINTING)
def test_the_pipeline_prints_what_the_card_prints(card: Card) -> None:
    got = pipeline_of(card.model, card.tokenizer)({"question": card.question, "context": card.context})
    assert (got["answer"], got["start"], got["end"]) == (card.answer, card.start, card.end)
    # The cards were written with older releases of transformers and torch.
    assert got["score"] == pytest.approx(card.score, abs=1e-3)


@named(CARDS)
def test_the_pipeline_and_the_reader_quote_the_same_words(card: Card) -> None:
    got = pipeline_of(card.model, card.tokenizer)(question=card.question, context=card.context)
    assert card.context[got["start"] : got["end"]] == got["answer"] != ""
    answers = reader_of(card.model, card.tokenizer).run(card.question, [Document(content=card.context)])["answers"]
    best = next(answer for answer in answers if answer.data is not None)
    assert (best.data, best.document_offset.start, best.document_offset.end) == (
        got["answer"],
        got["start"],
        got["end"],
    )


def test_roberta_base_squad2_finds_python_as_its_card_shows_for_haystack() -> None:
    documents = [
        Document(content="Python is a popular programming language"),
        Document(content="python ist eine beliebte Programmiersprache"),
    ]
    reader = reader_of("deepset/roberta-base-squad2", None)
    best = reader.run(query="What is a popular programming language?", documents=documents)["answers"][0]
    assert best.data == "Python"
    assert best.document == documents[0]
    assert (best.document_offset.start, best.document_offset.end) == (0, 6)
