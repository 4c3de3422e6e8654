"""Questions asked of a whole corpus: data files, and what a query pipeline answers to them."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haystack import Pipeline

from lodestone.components.errors import ConfigurationError
from lodestone.components.readers.normalize import normalize_answer
from lodestone.evaluation.corpus import origin
from lodestone.evaluation.fingerprint import (
    count_passages,
    fingerprint,
    hash_files,
    hash_index,
    hash_pipeline,
    hash_reader,
)
from lodestone.evaluation.judging import checked_threshold, judge_answering
from lodestone.evaluation.partial import Entry, Partial, Progress, run_all, sampled
from lodestone.evaluation.records import Guess, Record
from lodestone.evaluation.results import Result
from lodestone.evaluation.squad import is_text, read_squad
from lodestone.pipelines.answering import Answered, QueryPipeline, Question

GUESSES = 5
# Thai, Lao, Burmese, Khmer, Japanese and Chinese: words have no spaces between them.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


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
        source = names.setdefault(question.context, f"paragraph {len(names)}")
        questions.append(Asked(question.id, question.text, question.answers, source if question.answers else None))
    return QAData(questions, {name: context for context, name in names.items()})


def evaluate_qa(
    file: Path,
    data: QAData,
    pipeline: Pipeline,
    *,
    sample: int | None = None,
    threshold: float | None = None,
    partial: Path | None = None,
    progress: Progress | None = None,
) -> Result:
    """Ask a query pipeline every question.

    :param file: What `data` was read from.
    :param data: The questions.
    :param pipeline: As for `QueryPipeline`, over an index of the corpus; it is taken apart.
    :param sample: As in `evaluate_squad`.
    :param threshold: As there.
    :param partial: As there.
    :param progress: As there.
    :raises ConfigurationError: If there is no index or a parameter is out of range.
    """
    questions = sampled(data.questions, sample)
    checked_threshold(threshold, [])
    pipeline_hash = hash_pipeline(pipeline)
    asked = QueryPipeline(pipeline)
    sha256, reads, held = hash_files([file]), hash_reader(asked.reader), hash_index(asked.store)
    precision = getattr(asked.reader, "used_precision", None)
    kept = Partial(partial, fingerprint("qa", sha256, pipeline_hash, reads, precision, held, sample))
    entries = run_all(questions, lambda batch: _answer(asked, batch), kept, progress)
    records = [Record.from_dict(entry) for entry in entries]
    threshold = checked_threshold(threshold, records)
    settings = {
        "reader": asked.model,
        "reader_sha256": reads,
        "precision": precision,
        "pipeline_sha256": pipeline_hash,
        "passages": count_passages(asked.store),
        "no_answer_threshold": threshold,
        "sample": sample,
    }
    described = {"file": file.name, "sha256": sha256, "questions": len(questions)}
    return Result.of("qa", described, settings, judge_answering(records, threshold), entries)


def _answer(pipeline: QueryPipeline, batch: Sequence[Asked]) -> list[Entry]:
    answered = pipeline.ask([Question(asked.text, id=asked.id, top_k=GUESSES) for asked in batch])
    return [_record(asked, found).to_dict() for asked, found in zip(batch, answered, strict=True)]


def _record(asked: Asked, found: Answered) -> Record:
    guesses = tuple(
        Guess(answer.data or "", float(answer.score), origin(answer.document))
        for answer in found.answers
        if answer.document is not None
    )
    gold = [_as_words(text) for text in map(normalize_answer, asked.accepted) if text]
    texts = [f" {normalize_answer(passage.content or '')} " for passage in found.passages] if gold else []
    holds = (rank for rank, text in enumerate(texts, 1) if any(answer in text for answer in gold))
    origins = (rank for rank, passage in enumerate(found.passages, 1) if origin(passage) == asked.source)
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


def _as_words(answer: str) -> str:
    """What a text has that holds an answer as whole words; where words are not spaced apart, the answer as it is."""
    return f"{'' if _UNSPACED.match(answer[0]) else ' '}{answer}{'' if _UNSPACED.match(answer[-1]) else ' '}"


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
    except (json.JSONDecodeError, RecursionError) as error:
        raise ConfigurationError(f"{place}: not JSON: {error}") from error
    if not is_text(json.dumps(entry, ensure_ascii=False)):
        raise ConfigurationError(f"{place}: holds half a surrogate pair, which is no text")
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
    identifier = entry["id"] if entry.get("id") is not None else f"line {number}"
    return Asked(str(identifier), text, accepted, source if accepted else None)
