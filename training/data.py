"""Questions to train on, and what is wrong with some of them."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lodestone.components.errors import ConfigurationError
from lodestone.evaluation.squad import Question, read_entries
from lodestone.training.recipe import Data, DataFile

VERSIONS = ("1.0", "1.1", "2.0")
_SHOWN = 20


@dataclass(frozen=True)
class Example:
    """A question with a paragraph, and where in it the answer stands.

    :param id: The question's id.
    :param question: The question.
    :param context: The paragraph.
    :param spans: First character and the one behind the last of each place of each accepted answer, without repeats;
        empty where the paragraph does not hold the answer.
    :param answers: The accepted answers; empty where it has none. Those of a negative are its question's.
    :param weight: What it counts in the loss.
    :param file: The file it is from.
    :param negative_of: Of a negative the id of the question that it is for, else None.
    """

    id: str
    question: str
    context: str
    spans: tuple[tuple[int, int], ...]
    answers: tuple[str, ...] = ()
    weight: float = 1.0
    file: str = ""
    negative_of: str | None = None


@dataclass(frozen=True)
class BadQuestion:
    """A question that is not trained on.

    :param file: Its file.
    :param id: Its id, or "" where the whole file is meant.
    :param reason: What is wrong with it.
    """

    file: str
    id: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {f'question {self.id!r} ' if self.id else ''}{self.reason}"


@dataclass(frozen=True)
class Loaded:
    """What training files hold.

    :param examples: The good questions, in order.
    :param bad: The bad ones.
    :param dropped: Good ones that the recipe leaves out: `start_ambiguous: drop`.
    """

    examples: list[Example]
    bad: list[BadQuestion]
    dropped: list[BadQuestion]


def load_data(data: Data) -> Loaded:
    """Read and check the questions of all files.

    A question is bad whose id was used before, in any of the files; whose paragraph or text is empty; which has no
    answer without being said to be unanswerable, or has some though it is; whose answer is empty, has no place, or does
    not stand at its place word for word. So is every unanswerable question where the recipe wants none.

    :param data: The files, and how they are read.
    :raises ConfigurationError: If a file is no SQuAD file of a known version; if there are bad questions and
        `data.bad` is "stop"; or if no good ones are left.
    """
    examples: list[Example] = []
    bad: list[BadQuestion] = []
    dropped: list[BadQuestion] = []
    files: dict[str, str] = {}
    for each in data.files:
        _check_version(Path(each.file))
        for question, entry in read_entries(Path(each.file)):
            reasons = list(_reasons(question, entry, data))
            if question.id in files:
                reasons.append(f"has an id that {files[question.id]} uses too")
            files.setdefault(question.id, each.file)
            if reasons:
                bad.append(BadQuestion(each.file, question.id, "; ".join(reasons)))
            elif data.start_ambiguous == "drop" and entry.get("start_ambiguous"):
                dropped.append(BadQuestion(each.file, question.id, "has start_ambiguous, and the recipe drops such"))
            else:
                examples.append(_example(question, entry, data, each))
    if bad and data.bad == "stop":
        raise ConfigurationError(report(bad) + "\nmend the files, or leave such questions out (data.bad: skip)")
    if not examples:
        raise ConfigurationError(f"no good question is left to train on\n{report(bad)}".rstrip())
    return Loaded(examples, bad, dropped)


def report(bad: Sequence[BadQuestion]) -> str:
    """Bad questions as lines: how many in each file, and the first of them.

    :param bad: The bad questions.
    """
    counts = Counter(each.file for each in bad)
    lines = [f"{file}: {count:,} bad question{'' if count == 1 else 's'}" for file, count in counts.items()]
    lines += [str(each) for each in bad[:_SHOWN]]
    return "\n".join(lines + ([f"... and {len(bad) - _SHOWN:,} more"] if len(bad) > _SHOWN else []))


def describe(examples: Iterable[Example], left_out: Iterable[BadQuestion] = ()) -> dict[str, int]:
    """How many questions, and how many of them without an answer.

    :param examples: The questions.
    :param left_out: Those of them that do not count.
    """
    gone = {each.id for each in left_out}
    kinds = [bool(example.spans) for example in examples if example.id not in gone]
    return {"questions": len(kinds), "unanswerable": kinds.count(False)}


def _check_version(path: Path) -> None:
    """Refuse a file of an unknown version; where none is said it is what its questions are."""
    try:
        version = json.loads(path.read_text(encoding="utf-8-sig")).get("version")
    except (OSError, ValueError, AttributeError):
        return  # `read_entries` says what is wrong with it
    if version is not None and str(version).lower().removeprefix("v") not in VERSIONS:
        raise ConfigurationError(f"{path} has version {version!r}; known ones are {', '.join(VERSIONS)}")


def _reasons(question: Question, entry: dict[str, Any], data: Data) -> Iterator[str]:
    if not question.text.strip():
        yield "has no text"
    if not question.context.strip():
        yield "has an empty context"
    if not isinstance(entry.get("start_ambiguous", False), bool):
        yield f"says start_ambiguous: {entry['start_ambiguous']!r}, which must be true or false"
    impossible = entry.get("is_impossible", False)
    if not isinstance(impossible, bool):
        yield f"says is_impossible: {impossible!r}, which must be true or false"
    elif impossible and question.answers:
        yield "has answers though it is_impossible"
    elif not impossible and not question.answers:
        yield "has no answer, and does not say is_impossible"
    elif impossible and not data.unanswerable:
        yield "is unanswerable, which belongs to SQuAD 2.0; the recipe wants none (data.unanswerable: false)"
    for answer in entry.get("answers") or ():
        reason = _misplaced(answer["text"], answer.get("answer_start"), question.context)
        if reason:
            yield reason


def _misplaced(text: str, start: Any, context: str) -> str:
    if not text.strip():
        return "has an empty answer"
    if not isinstance(start, int) or isinstance(start, bool):
        there = "" if start is None else f", which is {str(start)[:20]!r} and must be a whole number"
        return f"has the answer {text[:60]!r} without a place (answer_start{there})"
    if start < 0 or context[start : start + len(text)] != text:
        found = context[max(start, 0) : max(start, 0) + len(text)]
        return f"has the answer {text[:60]!r} at {start}, where its context has {found[:60]!r}"
    return ""


def _example(question: Question, entry: dict[str, Any], data: Data, file: DataFile) -> Example:
    spans: dict[tuple[int, int], None] = {}
    everywhere = data.start_ambiguous == "every" and bool(entry.get("start_ambiguous"))
    for answer in entry.get("answers") or ():
        text, start = answer["text"], answer["answer_start"]
        starts = list(occurrences(text, question.context)) if everywhere else [start]
        left = len(text) - len(text.lstrip())
        for at in starts:
            spans[at + left, at + left + len(text.strip())] = None
    return Example(question.id, question.text, question.context, tuple(spans), question.answers, file.weight, file.file)


def occurrences(text: str, context: str) -> Iterator[int]:
    """Where a text stands as whole words; everywhere where it stands so nowhere.

    :param text: The text.
    :param context: Where it is looked for.
    :returns: The character that it begins at, for each place.
    """
    places = []
    at = context.find(text)
    while at >= 0:
        places.append(at)
        at = context.find(text, at + 1)
    whole = [at for at in places if _is_whole(at, at + len(text), context)]
    yield from whole or places


def _is_whole(start: int, end: int, context: str) -> bool:
    cut_before = start > 0 and context[start - 1].isalnum() and context[start].isalnum()
    cut_behind = end < len(context) and context[end - 1].isalnum() and context[end].isalnum()
    return not cut_before and not cut_behind
