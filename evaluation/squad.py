"""Exact match and F1 as the SQuAD 2.0 evaluation script computes them (Rajpurkar et al. 2018), and its data files."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lodestone.components.errors import ConfigurationError
from lodestone.components.readers.normalize import normalize_answer


@dataclass(frozen=True)
class Question:
    """One question of a SQuAD file.

    :param id: Its id.
    :param text: The question.
    :param context: The paragraph that it is asked of.
    :param answers: The accepted answers; empty where it is unanswerable.
    """

    id: str
    text: str
    context: str
    answers: tuple[str, ...]


def read_squad(path: Path) -> Iterator[Question]:
    """Read a file in the format of SQuAD 1.1 or 2.0.

    :param path: The JSON file.
    :returns: Its questions in order.
    :raises ConfigurationError: If the file is missing, is no JSON, or lacks an entry: the message names the place.
    """
    try:
        articles = json.loads(path.read_text(encoding="utf-8"))["data"]
        paragraphs = [
            (f"data[{a}].paragraphs[{p}]", paragraph)
            for a, article in enumerate(articles)
            for p, paragraph in enumerate(article["paragraphs"])
        ]
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path} does not exist") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{path} is not a SQuAD file: {error!r}") from error
    for place, paragraph in paragraphs:
        where = place
        try:
            for q, question in enumerate(paragraph["qas"]):
                where = f"{place}.qas[{q}]"
                answers = tuple(answer["text"] for answer in question.get("answers", ()))
                yield Question(question["id"], question["question"], paragraph["context"], answers)
        except (AttributeError, KeyError, TypeError) as error:
            raise ConfigurationError(f"{path}: {where} is malformed: {error!r}") from error


def exact_match(prediction: str, answers: Sequence[str]) -> float:
    """1.0 if the prediction equals an accepted answer after normalisation, else 0.0.

    :param prediction: The predicted answer, "" for "no answer".
    :param answers: The accepted answers; none means that the question has no answer.
    """
    return max(float(normalize_answer(prediction) == normalize_answer(gold)) for gold in _accepted(answers))


def f1(prediction: str, answers: Sequence[str]) -> float:
    """The best overlap of words with an accepted answer, after normalisation, from 0.0 to 1.0.

    :param prediction: The predicted answer, "" for "no answer".
    :param answers: The accepted answers; none means that the question has no answer.
    """
    return max(_f1(prediction, gold) for gold in _accepted(answers))


def _accepted(answers: Sequence[str]) -> list[str]:
    # The official script leaves out accepted answers of which nothing remains after normalisation.
    return [answer for answer in answers if normalize_answer(answer)] or [""]


def _f1(prediction: str, gold: str) -> float:
    predicted, expected = normalize_answer(prediction).split(), normalize_answer(gold).split()
    if not predicted or not expected:
        return float(predicted == expected)
    shared = sum((Counter(predicted) & Counter(expected)).values())
    if shared == 0:
        return 0.0
    precision, recall = shared / len(predicted), shared / len(expected)
    return 2 * precision * recall / (precision + recall)
