"""What a reader's precision costs: exact match and F1 on a SQuAD file in float32, bfloat16 and int8.

    python benchmarks/precision.py --data dev-v2.0.json [--reader MODEL] [--questions N]

--data is a file in SQuAD 2.0 format (https://rajpurkar.github.io/SQuAD-explorer/); every question is read in its own
paragraph. "Answerable" is F1 over the questions that have an answer when one must always be given; "best" is F1 over
all at the margin over the null score that suits the data best, which is the same for all precisions.
"""

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from haystack import Document

from lodestone import ExtractiveReader
from lodestone.components.errors import LodestoneError
from lodestone.components.models import DEFAULT_READER
from lodestone.evaluation.squad import Question, exact_match, f1, read_squad

PRECISIONS = ("float32", "bfloat16", "int8")
BATCH = 500


def main() -> None:
    """Read in every precision and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--reader", default=DEFAULT_READER)
    parser.add_argument("--questions", type=int, help="how many; default all")
    arguments = parser.parse_args()
    questions = list(read_squad(arguments.data))
    if arguments.questions is not None and arguments.questions < len(questions):
        questions = random.Random(0).sample(questions, arguments.questions)
    threshold: float | None = None
    print(f"{len(questions)} questions, {sum(not question.answers for question in questions)} without an answer")
    print(f"{'':10} {'answerable':>10} {'EM':>6} {'best F1':>8}  same best quote as float32")
    first: list[str] = []
    for precision in PRECISIONS:
        try:
            quotes, margins = read(ExtractiveReader(arguments.reader, precision=precision, no_answer=False), questions)
        except LodestoneError as error:
            print(f"{precision} is left out: {error}")
            continue
        first = first or quotes
        threshold = best_threshold(questions, quotes, margins) if threshold is None else threshold
        said = [quote if margin > threshold else "" for quote, margin in zip(quotes, margins, strict=True)]
        answerable = [f1(q, each.answers) for q, each in zip(quotes, questions, strict=True) if each.answers]
        exact = [exact_match(q, each.answers) for q, each in zip(said, questions, strict=True)]
        overlap = [f1(q, each.answers) for q, each in zip(said, questions, strict=True)]
        same = np.mean([a == b for a, b in zip(first, quotes, strict=True)])
        figures = f"{100 * np.mean(answerable):10.2f} {100 * np.mean(exact):6.2f} {100 * np.mean(overlap):8.2f}"
        print(f"{precision:10} {figures}  {same:.4f}", flush=True)
    print(f"margin {threshold:.2f}")


def read(reader: ExtractiveReader, questions: Sequence[Question]) -> tuple[list[str], list[float]]:
    """The best quote of each question in its own paragraph, and its margin."""
    quotes: list[str] = []
    margins: list[float] = []
    for start in range(0, len(questions), BATCH):
        part = questions[start : start + BATCH]
        documents = [[Document(content=question.context)] for question in part]
        for answers in reader.run_batch([question.text for question in part], documents, top_k=1)["answers"]:
            quotes.append((answers[0].data or "") if answers else "")
            margins.append(answers[0].meta["margin"] if answers else -np.inf)
    return quotes, margins


def best_threshold(questions: Sequence[Question], quotes: Sequence[str], margins: Sequence[float]) -> float:
    """The margin from which on answering gives the best F1 over all questions."""
    gains = [f1(quote, q.answers) - f1("", q.answers) for quote, q in zip(quotes, questions, strict=True)]
    order = np.argsort(margins)[::-1]
    total = np.cumsum(np.asarray(gains)[order])
    return float(np.asarray(margins)[order][int(total.argmax())]) - 1e-6


if __name__ == "__main__":
    main()
