"""Reads the full SQuAD dev sets with published readers and prints exact match and F1 beside what their cards state.

    python benchmarks/hub_check.py [--model deepset/tinyroberta-squad2] [--questions N] [--data FOLDER]

Models come from the model hub, the data from https://rajpurkar.github.io/SQuAD-explorer/, into --data where they are
kept. Without a network it says so and ends with exit code 1. The full sets are 10,570 and 11,873 questions: minutes on
a GPU, hours on a CPU; --questions takes the first N that a fixed shuffle gives.
"""

import argparse
import random
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from haystack import Document

from lodestone import ExtractiveReader
from lodestone.components.errors import LodestoneError
from lodestone.evaluation.squad import Question, exact_match, f1, read_squad

SITE = "https://rajpurkar.github.io/SQuAD-explorer/dataset/"
V1, V2 = "dev-v1.1.json", "dev-v2.0.json"
SECONDS = 30


@dataclass(frozen=True)
class Published:
    """What a card states.

    :param model: Its name on the hub.
    :param data: The dev set.
    :param exact: Exact match in percent.
    :param f1: F1 in percent.
    :param tokenizer: Name of its tokenizer where that is another's.
    """

    model: str
    data: str
    exact: float | None
    f1: float
    tokenizer: str | None = None


PUBLISHED = [
    Published("csarron/roberta-large-squad-v1", V1, 87.5, 93.8),
    Published("mrm8488/roberta-base-1B-1-finetuned-squadv2", V2, 64.8615, 68.9903),
    # The card states F1 on the test set, which is not public.
    Published("mrm8488/spanbert-large-finetuned-squadv1", V1, None, 94.6, "SpanBERT/spanbert-large-cased"),
    Published("deepset/tinyroberta-squad2", V2, 78.1942, 81.4185),
    Published("deepset/roberta-base-squad2", V2, 79.8703, 82.9125),
    Published("deepset/roberta-base-squad2", V1, 85.289, 91.841),
]


def main() -> int:
    """Fetch, read, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", help="only this one; may be given several times")
    parser.add_argument("--questions", type=int, help="how many of each set; default all")
    parser.add_argument("--data", type=Path, default=Path.home() / ".cache" / "lodestone" / "squad")
    parser.add_argument("--device", help="default: a GPU where there is one")
    arguments = parser.parse_args()
    names = {entry.model for entry in PUBLISHED}
    unknown = set(arguments.model or ()) - names
    if unknown:
        parser.error(f"no card of {', '.join(sorted(unknown))} is known; there are {', '.join(sorted(names))}")
    chosen = [entry for entry in PUBLISHED if arguments.model is None or entry.model in arguments.model]
    try:
        files = {name: fetch(name, arguments.data) for name in sorted({entry.data for entry in chosen})}
        print(f"{'model':<44} {'data':<14} {'EM':>6} {'card':>6} {'F1':>6} {'card':>6}  questions/s")
        for entry in chosen:
            print(row(entry, list(read_squad(files[entry.data])), arguments.questions, arguments.device), flush=True)
    except (urllib.error.URLError, OSError) as error:
        print(f"offline: {SITE} cannot be reached ({getattr(error, 'reason', error)}); nothing was checked")
        return 1
    except LodestoneError as error:
        print(f"not checked: {error}")
        return 1
    return 0


def fetch(name: str, folder: Path) -> Path:
    """A dev set's file, downloaded once."""
    path = folder / name
    if not path.is_file():
        with urllib.request.urlopen(SITE + name, timeout=SECONDS) as response:
            content = response.read()
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        partial.write_bytes(content)
        partial.replace(path)
    return path


def row(entry: Published, questions: Sequence[Question], count: int | None, device: str | None) -> str:
    """One line of the table: a reader on a dev set."""
    asked = list(questions)
    if count is not None and count < len(asked):
        asked = random.Random(0).sample(asked, count)
    none_allowed = entry.data == V2
    reader = ExtractiveReader(entry.model, tokenizer=entry.tokenizer, device=device, no_answer=none_allowed)
    reader.warm_up()
    begun = time.perf_counter()
    predictions = predict(reader, asked, none_allowed)
    seconds = time.perf_counter() - begun
    exact = 100 * sum(map(exact_match, predictions, (each.answers for each in asked))) / len(asked)
    overlap = 100 * sum(map(f1, predictions, (each.answers for each in asked))) / len(asked)
    stated = f"{entry.exact:6.2f}" if entry.exact is not None else "     -"
    rate = len(asked) / seconds
    return f"{entry.model:<44} {entry.data:<14} {exact:6.2f} {stated} {overlap:6.2f} {entry.f1:6.2f}  {rate:.1f}"


def predict(reader: ExtractiveReader, questions: Sequence[Question], none_allowed: bool) -> list[str]:
    """The best quote of each question, or "" where the model's own vote for "no answer" is higher."""
    documents = [[Document(content=question.context)] for question in questions]
    found = reader.run_batch([question.text for question in questions], documents, top_k=1, no_answer=False)
    predictions = []
    for answers in found["answers"]:
        best = answers[0] if answers else None
        refused = best is None or (none_allowed and best.meta["margin"] <= 0)
        predictions.append("" if refused or best is None else best.data or "")
    return predictions


if __name__ == "__main__":
    sys.exit(main())
