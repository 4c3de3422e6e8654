"""What to do with questions whose answer's words stand more than once in their paragraph, when the file does not know
which place is meant (`start_ambiguous`): take every place, the one that is stated, or leave the question out.

Three readers are trained alike on the same questions, a third of them ambiguous, and read answerable questions whose
places are known. Beside exact match and F1 it is counted how often a quote that is right in words, of words that stand
more than once, is at a place that people chose: that is what the treatments should differ in.

    python benchmarks/ambiguous_answers.py --data squad2_train.json --questions dev.json --work DIR [--steps 1000]

Data: SQuAD 1.1's questions with offsets that were rebuilt from the answers' text; any file with `start_ambiguous`.
A run that was stopped goes on from DIR.
"""

import argparse
import json
import logging
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from haystack import Document

from lodestone import ExtractiveReader
from lodestone.components.readers.normalize import normalize_answer
from lodestone.evaluation.squad import exact_match, f1, read_entries
from lodestone.training.data import occurrences
from lodestone.training.recipe import Data, DataFile, Recipe, Training, Windows
from lodestone.training.running import train

TREATMENTS = ("every", "stated", "drop")
_BATCH = 64


@dataclass
class Figures:
    """What a reader did on the questions."""

    exact: list[float] = field(default_factory=list)
    f1: list[float] = field(default_factory=list)
    placed: list[bool] = field(default_factory=list)


def answerable(file: Path) -> list[tuple[str, dict[str, Any]]]:
    """The answerable questions of a SQuAD file in random order, each behind its paragraph."""
    asked = [(question.context, entry) for question, entry in read_entries(file) if entry["answers"]]
    random.Random(0).shuffle(asked)
    return asked


def draw(file: Path, ambiguous: int, others: int, target: Path) -> None:
    """Write a SQuAD file of so many ambiguous and so many other answerable questions."""
    asked = answerable(file)
    kinds = ([pair for pair in asked if bool(pair[1].get("start_ambiguous")) is kind] for kind in (True, False))
    chosen = [pair for kind, count in zip(kinds, (ambiguous, others), strict=True) for pair in kind[:count]]
    made = [{"context": context, "qas": [qa]} for context, qa in chosen]
    target.write_text(json.dumps({"version": "v2.0", "data": [{"title": "drawn", "paragraphs": made}]}))


def recipe_of(file: Path, treatment: str, given: argparse.Namespace) -> Recipe:
    """The recipe of one treatment: all else is the same."""
    return Recipe(
        given.model,
        Data((DataFile(str(file)),), start_ambiguous=treatment),
        windows=Windows(max_seq_length=320),
        training=Training(
            steps=given.steps,
            batch_size=24,
            learning_rate=2e-4,
            warmup=0.05,
            weight_decay=0.01,
            dropout=0.0,
            freeze_embeddings=True,
            precision="auto",
        ),
    )


def read(folder: Path, files: list[Path], sample: int | None) -> Figures:
    """Read the answerable questions of some files, an answer always being given."""
    reader = ExtractiveReader(str(folder), max_seq_length=320)
    found = Figures()
    for file in files:
        asked = answerable(file)[:sample]
        for start in range(0, len(asked), _BATCH):
            batch = asked[start : start + _BATCH]
            documents = [[Document(content=context)] for context, _ in batch]
            answers = reader.run_batch([qa["question"] for _, qa in batch], documents, top_k=1)["answers"]
            for (context, qa), given in zip(batch, answers, strict=True):
                add(found, context, qa, given[0])
    return found


def add(found: Figures, context: str, qa: dict[str, Any], answer: Any) -> None:
    """Judge one answer."""
    golds, quote = [gold["text"] for gold in qa["answers"]], answer.data or ""
    found.exact.append(exact_match(quote, golds))
    found.f1.append(f1(quote, golds))
    same = [gold for gold in qa["answers"] if normalize_answer(gold["text"]) == normalize_answer(quote)]
    if same and any(len(list(occurrences(gold["text"], context))) > 1 for gold in same):
        span = answer.document_offset
        places = [(gold["answer_start"], gold["answer_start"] + len(gold["text"])) for gold in same]
        found.placed.append(any(start < span.end and span.start < end for start, end in places))


def main() -> None:
    """Train, read, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a SQuAD train file with start_ambiguous")
    parser.add_argument("--questions", type=Path, nargs="+", required=True, help="SQuAD files whose places are known")
    parser.add_argument("--sample", type=int, help="questions of each file")
    parser.add_argument("--work", type=Path, required=True, help="where the readers are kept")
    parser.add_argument("--model", default="sentence-transformers/all-MiniLM-L6-v2")
    parser.add_argument("--ambiguous", type=int, default=8000)
    parser.add_argument("--others", type=int, default=16000)
    parser.add_argument("--steps", type=int, default=1000)
    given = parser.parse_args()
    logging.getLogger("lodestone").setLevel(logging.ERROR)  # the readers have no calibration, and need none
    given.work.mkdir(parents=True, exist_ok=True)
    drawn = given.work / "drawn.json"
    if not drawn.exists():
        draw(given.data, given.ambiguous, given.others, drawn)
    print("| treatment | EM | F1 | of right quotes whose words stand more than once, at the place that people chose |")
    print("| --- | --- | --- | --- |")
    for treatment in TREATMENTS:
        folder = train(recipe_of(drawn, treatment, given), given.work / treatment).folder
        found = read(folder, given.questions, given.sample)
        count = len(found.f1)
        print(
            f"| {treatment} | {100 * sum(found.exact) / count:.1f} | {100 * sum(found.f1) / count:.1f} | "
            f"{sum(found.placed):,} of {len(found.placed):,} ({sum(found.placed) / max(len(found.placed), 1):.3f}) |",
            flush=True,
        )
    print(f"\n{count:,} questions; {given.steps:,} steps of 24 windows each")


if __name__ == "__main__":
    main()
