"""Files in SQuAD's format, and exact match and F1 as the SQuAD 2.0 evaluation script computes them."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

    SQuADShifts, XQuAD, AdversarialQA and conversions of other data to this format are such files; what they have
    beside the entries that are read here is left aside.

    :param path: The JSON file.
    :returns: Its questions in order.
    :raises ConfigurationError: If the file is missing, is no JSON, holds no question, lacks an entry, or uses an id
        twice: the message names the place. If a question or its paragraph is empty, or it has answers though it says
        that it has none: the message names its id.
    """
    for question, entry in read_entries(path):
        flaw = _flaw(question, entry)
        if flaw:
            raise ConfigurationError(f"{path}: question {question.id!r} {flaw}")
        yield question


def read_entries(path: Path) -> Iterator[tuple[Question, dict[str, Any]]]:
    """As `read_squad`, each question beside the entry of the file that it was read from, with all that stands there.

    What a question says is left to the reader to judge: none is refused for being empty or contradicting itself.

    :param path: The JSON file.
    :raises ConfigurationError: As `read_squad`, but for such questions.
    """
    articles = _articles(path)
    places: dict[str, str] = {}
    for a, article in enumerate(articles):
        for p, paragraph in enumerate(_entry(path, f"data[{a}]", article, "paragraphs", list)):
            place = f"data[{a}].paragraphs[{p}]"
            context = _entry(path, place, paragraph, "context", str)
            for q, entry in enumerate(_entry(path, place, paragraph, "qas", list)):
                question = _question(path, f"{place}.qas[{q}]", entry, context)
                if question.id in places:
                    raise ConfigurationError(
                        f"{path}: {place}.qas[{q}] has the id {question.id!r} of {places[question.id]}; ids must differ"
                    )
                places[question.id] = f"{place}.qas[{q}]"
                yield question, entry
    if not places:
        raise ConfigurationError(f"{path} holds no questions")


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


def is_text(value: str) -> bool:
    """Whether a string can be written as UTF-8; JSON can hold halves of surrogate pairs, which cannot.

    :param value: The string.
    """
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _articles(path: Path) -> list[Any]:
    try:
        articles = json.loads(path.read_text(encoding="utf-8-sig"))["data"]
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path} does not exist") from error
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not a SQuAD file: it is not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"{path} is not a SQuAD file: not JSON: {error}") from error
    except RecursionError as error:
        raise ConfigurationError(f"{path} is not a SQuAD file: its lists are nested too deeply") from error
    except (KeyError, TypeError) as error:
        raise ConfigurationError(f"{path} is not a SQuAD file: it must be an object with `data`") from error
    if not isinstance(articles, list):
        raise ConfigurationError(f"{path} is not a SQuAD file: `data` must be a list, got {_kind(articles)}")
    return articles


def _question(path: Path, place: str, entry: Any, context: str) -> Question:
    id_ = entry.get("id") if isinstance(entry, dict) else None
    if not isinstance(id_, str | int):
        raise ConfigurationError(f"{path}: {place} is malformed: `id` must be a text, got {_kind(id_)}")
    if not is_text(str(id_)):
        raise ConfigurationError(f"{path}: {place} is malformed: `id` holds half a surrogate pair")
    place = f"{place} (id {str(id_)!r})"
    text = _entry(path, place, entry, "question", str)
    listed = _entry(path, place, entry, "answers", list) if "answers" in entry else []
    answers = tuple(_entry(path, f"{place}.answers[{n}]", answer, "text", str) for n, answer in enumerate(listed))
    return Question(str(id_), text, context, answers)


def _flaw(question: Question, entry: dict[str, Any]) -> str:
    impossible = entry.get("is_impossible", False)
    if not question.text.strip():
        return "has no text"
    if not question.context.strip():
        return "has an empty context"
    if not isinstance(impossible, bool):
        return f"says is_impossible: {impossible!r}, which must be true or false"
    return "has answers though it is_impossible" if impossible and question.answers else ""


def _entry(path: Path, place: str, holder: Any, name: str, kind: type) -> Any:
    if not isinstance(holder, dict):
        raise ConfigurationError(f"{path}: {place} is malformed: it must be an object, got {_kind(holder)}")
    if name not in holder:
        raise ConfigurationError(f"{path}: {place} is malformed: it has no `{name}`")
    if not isinstance(holder[name], kind):
        wanted = "text" if kind is str else "list"
        raise ConfigurationError(
            f"{path}: {place} is malformed: `{name}` must be a {wanted}, got {_kind(holder[name])}"
        )
    if kind is str and not is_text(holder[name]):
        raise ConfigurationError(f"{path}: {place} is malformed: `{name}` holds half a surrogate pair")
    return holder[name]


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "nothing"}
    return kinds.get(type(value), "a number")


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
