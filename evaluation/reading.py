"""Questions on paragraphs that are given, as SQuAD asks them."""

from collections.abc import Sequence
from pathlib import Path

from haystack import Document

from lodestone.components.readers import ExtractiveReader
from lodestone.evaluation.fingerprint import fingerprint, hash_files, hash_reader
from lodestone.evaluation.judging import checked_threshold, judge_reading
from lodestone.evaluation.partial import Entry, Partial, Progress, run_all, sampled
from lodestone.evaluation.records import Record, guesses_of
from lodestone.evaluation.results import Result
from lodestone.evaluation.squad import Question, read_squad


def evaluate_squad(
    data: Path,
    reader: ExtractiveReader,
    *,
    sample: int | None = None,
    threshold: float | None = None,
    partial: Path | None = None,
    progress: Progress | None = None,
) -> Result:
    """Read every question of a SQuAD file in its own paragraph.

    :param data: The file, of SQuAD 1.1 or 2.0.
    :param reader: The reader.
    :param sample: Only so many questions, drawn with a fixed seed; None for all.
    :param threshold: Above which probability of "no answer" none is given; None for that of `checked_threshold`.
    :param partial: Where answered questions are kept until all are, to go on from; None for nowhere.
    :param progress: Told how many questions are done, and of how many; None for nobody.
    :raises ConfigurationError: If the file is malformed or a parameter out of range.
    """
    questions = sampled(list(read_squad(data)), sample)
    checked_threshold(threshold, [])
    sha256, reads, precision = hash_files([data]), hash_reader(reader), reader.used_precision
    kept = Partial(partial, fingerprint("squad", sha256, reads, precision, sample))
    entries = run_all(questions, lambda batch: _read(reader, batch), kept, progress)
    records = [Record.from_dict(entry) for entry in entries]
    threshold = checked_threshold(threshold, records)
    settings = {
        "reader": reader.model,
        "reader_sha256": reads,
        "precision": precision,
        "no_answer_threshold": threshold,
        "sample": sample,
    }
    described = {"file": data.name, "sha256": sha256, "questions": len(questions)}
    return Result.of("squad", described, settings, judge_reading(records, threshold), entries)


def _read(reader: ExtractiveReader, batch: Sequence[Question]) -> list[Entry]:
    passages = [[Document(content=question.context)] for question in batch]
    found = reader.run_batch([question.text for question in batch], passages, top_k=1, no_answer=True)
    entries = []
    for question, answers in zip(batch, found["answers"], strict=True):
        guesses, none, calibrated = guesses_of(answers)
        entries.append(Record(question.id, question.text, question.answers, guesses, none, calibrated).to_dict())
    return entries
