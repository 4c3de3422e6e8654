"""Paragraphs that a search finds for a question though they do not hold its answer."""

import json
import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from haystack import Document

from lodestone.components.embedders import PassageEmbedder, TextEmbedder
from lodestone.components.readers.normalize import normalize_answer
from lodestone.components.stores import FaissDocumentStore
from lodestone.evaluation.fingerprint import fingerprint
from lodestone.training.checkpoints import write_json
from lodestone.training.data import Example
from lodestone.training.recipe import Negatives


def with_negatives(examples: Sequence[Example], settings: Negatives, seed: int, cache: Path) -> list[Example]:
    """The examples, and behind them those questions that get a negative, each with its paragraph.

    :param examples: The examples.
    :param settings: How many there are to be, and what finds them.
    :param seed: Which questions get one.
    :param cache: A file that keeps what was found, for a run that is resumed.
    :returns: The examples and the negatives; a question of which every paragraph found holds its answer gets none.
    """
    if settings.share == 0:
        return list(examples)
    answerable = [example for example in examples if example.spans]
    count = round(settings.share * len(answerable))
    chosen = sorted(random.Random(seed).sample(range(len(answerable)), count))
    asked = [answerable[number] for number in chosen]
    paragraphs = list(dict.fromkeys(example.context for example in examples))
    key = fingerprint("negatives", settings.__dict__, [(each.id, each.question) for each in asked], paragraphs)
    found = _cached(cache, key)
    if found is None:
        found = mine(asked, paragraphs, settings)
        write_json(cache, {"key": key, "paragraphs": found})
    return [*examples, *_as_examples(asked, paragraphs, found)]


def mine(asked: Sequence[Example], paragraphs: Sequence[str], settings: Negatives) -> list[list[int]]:
    """Search for negatives.

    :param asked: Questions with their answers.
    :param paragraphs: Where to search.
    :param settings: With what, and how far down.
    :returns: For each question the numbers of its paragraphs, at most `per_question`; the searches take turns. Neither
        its own paragraph is among them nor one in which any accepted answer stands after normalisation.
    """
    places = {text: number for number, text in enumerate(paragraphs)}
    plain = [f" {normalize_answer(text)} " for text in paragraphs]
    kept = []
    for example, lists in zip(asked, _found(asked, paragraphs, settings), strict=True):
        turns = [hit for rank in range(settings.top_k) for hits in lists for hit in hits[rank : rank + 1]]
        numbers = list(dict.fromkeys(places[text] for text in turns))
        good = [number for number in numbers if not _holds(paragraphs[number], plain[number], example)]
        kept.append(good[: settings.per_question])
    return kept


def _found(asked: Sequence[Example], paragraphs: Sequence[str], settings: Negatives) -> Iterator[list[list[str]]]:
    """For each question the texts that each search finds, the best first."""
    documents = [Document(content=text) for text in paragraphs]
    dense = "dense" in settings.search
    if dense:
        documents = PassageEmbedder(settings.embedder).run(documents)["documents"]
    # Built on what `Document` makes its ids of: equal paragraphs were made one before.
    with tempfile.TemporaryDirectory() as folder, FaissDocumentStore(folder) as store:
        store.write_documents(documents)
        embedder = TextEmbedder(settings.embedder) if dense else None
        for example in asked:
            lists = []
            for search in settings.search:
                if search == "bm25":
                    hits = store.bm25_retrieval(example.question, top_k=settings.top_k)
                else:
                    assert embedder is not None
                    vector = embedder.run(example.question)["embedding"]
                    hits = store.embedding_retrieval(vector, top_k=settings.top_k)
                lists.append([hit.content or "" for hit in hits])
            yield lists


def _holds(paragraph: str, plain: str, example: Example) -> bool:
    """Whether a paragraph is the question's own, or an accepted answer stands in it."""
    if paragraph == example.context:
        return True
    lowered = paragraph.lower()
    for answer in example.answers:
        normal = normalize_answer(answer)
        if answer.lower().strip() in lowered or (normal and f" {normal} " in plain):
            return True
    return False


def _as_examples(asked: Sequence[Example], paragraphs: Sequence[str], found: list[list[int]]) -> Iterator[Example]:
    for example, numbers in zip(asked, found, strict=True):
        for number in numbers:
            id_ = f"{example.id} in paragraph {number}"
            yield replace(example, id=id_, context=paragraphs[number], spans=(), negative_of=example.id)


def _cached(file: Path, key: str) -> list[list[int]] | None:
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    paragraphs: list[list[int]] | None = held["paragraphs"] if held.get("key") == key else None
    return paragraphs
