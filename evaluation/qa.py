"""Questions asked of a whole corpus: data files, and what a query pipeline answers to them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haystack import Document

from lodestone.components.errors import ConfigurationError
from lodestone.components.readers.normalize import normalize_answer
from lodestone.evaluation.partial import Entry
from lodestone.evaluation.records import Guess, Record
from lodestone.evaluation.squad import read_squad
from lodestone.pipelines.answering import Answered, QueryPipeline, Question

GUESSES = 5
# Names, in the metadata of its passages, the paragraph of the data that a passage is of.
ENTRY = "evaluation_entry"


@dataclass(frozen=True)
class Asked:
    """A question of a corpus.

    :param id: Its id.
    :param text: The question.
    :param accepted: The accepted answers; empty where it has none.
    :param source: The document that holds the answer; None where the data do not say.
    """

    id: str
    text: str
    accepted: tuple[str, ...]
    source: str | None = None


@dataclass(frozen=True)
class QAData:
    """Questions, and the corpus where the file holds one.

    :param questions: The questions.
    :param paragraphs: The paragraphs by name; empty where the corpus is elsewhere.
    """

    questions: list[Asked]
    paragraphs: Mapping[str, str]


def read_qa(path: Path) -> QAData:
    """Read questions for a corpus.

    :param path: A file in SQuAD's format, whose paragraphs are the corpus; or, with the ending .jsonl, one JSON object
        a line with `question` (or `query`), `answers` (or `answer`), and perhaps `id`, `answerable` and `file` (or
        `source`), the path of the document that holds the answer.
    :raises ConfigurationError: If it cannot be read or is malformed: the message names the place.
    """
    if path.suffix.lower() == ".jsonl":
        return QAData(_read_lines(path), {})
    names: dict[str, str] = {}
    questions = []
    for question in read_squad(path):
        if not question.text.strip():
            raise ConfigurationError(f"{path}: the question {question.id!r} is empty")
        source = names.setdefault(question.context, f"paragraph {len(names)}")
        questions.append(Asked(question.id, question.text, question.answers, source if question.answers else None))
    return QAData(questions, {name: context for context, name in names.items()})


def answer_with(pipeline: QueryPipeline) -> Callable[[Sequence[Asked]], list[Entry]]:
    """Answers batches of questions by a query pipeline.

    :param pipeline: The pipeline.
    :returns: What gives, for a batch, the record of each question as JSON.
    """

    def answer(batch: Sequence[Asked]) -> list[Entry]:
        answered = pipeline.ask([Question(asked.text, id=asked.id, top_k=GUESSES) for asked in batch])
        return [_record(asked, found).to_dict() for asked, found in zip(batch, answered, strict=True)]

    return answer


def _record(asked: Asked, found: Answered) -> Record:
    guesses = tuple(
        Guess(answer.data or "", float(answer.score), _origin(answer.document))
        for answer in found.answers
        if answer.document is not None
    )
    gold = [f" {text} " for text in map(normalize_answer, asked.accepted) if text]
    texts = [f" {normalize_answer(passage.content or '')} " for passage in found.passages] if gold else []
    holds = (rank for rank, text in enumerate(texts, 1) if any(answer in text for answer in gold))
    origins = (rank for rank, passage in enumerate(found.passages, 1) if _origin(passage) == asked.source)
    return Record(
        id=asked.id,
        question=asked.text,
        accepted=asked.accepted,
        guesses=guesses,
        no_answer_score=found.no_answer_score if found.no_answer_score is not None else 0.0,
        calibrated=found.calibrated,
        source=asked.source,
        answer_rank=next(holds, None),
        source_rank=next(origins, None) if asked.source is not None else None,
    )


def _origin(document: Document | None) -> str | None:
    return None if document is None else document.meta.get(ENTRY, document.meta.get("source"))


def _read_lines(path: Path) -> list[Asked]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    places: dict[str, int] = {}
    questions = []
    # Not splitlines: a quote may hold U+2028.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        asked = _asked(line, f"{path}:{number}", number)
        if asked.id in places:
            raise ConfigurationError(f"{path}:{number}: the id {asked.id!r} is that of line {places[asked.id]}")
        places[asked.id] = number
        questions.append(asked)
    if not questions:
        raise ConfigurationError(f"{path} holds no questions")
    return questions


def _asked(line: str, place: str, number: int) -> Asked:
    try:
        entry: Any = json.loads(line)
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"{place}: not JSON: {error}") from error
    if not isinstance(entry, dict):
        raise ConfigurationError(f"{place}: must be a JSON object with `question` and `answers`")
    text = entry.get("question", entry.get("query"))
    if not isinstance(text, str) or not text.strip():
        raise ConfigurationError(f"{place}: `question` must be a question, got {text!r}")
    answers = entry.get("answers", entry.get("answer"))
    listed = [answers] if isinstance(answers, str) else [] if answers is None else answers
    if not isinstance(listed, list) or not all(isinstance(answer, str) for answer in listed):
        raise ConfigurationError(f"{place}: `answers` must be a list of texts, got {answers!r}")
    if entry.get("answerable") is True and not listed:
        raise ConfigurationError(f"{place}: it is `answerable`, but `answers` is empty")
    accepted = () if entry.get("answerable") is False else tuple(listed)
    source = entry.get("file", entry.get("source"))
    if source is not None and not isinstance(source, str):
        raise ConfigurationError(f"{place}: `file` must be a path in the corpus, got {source!r}")
    return Asked(str(entry.get("id", f"line {number}")), text, accepted, source if accepted else None)
