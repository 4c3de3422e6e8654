"""Half of a reader's layers, taught by the whole reader, and the same layers fine-tuned without it.

Both are trained by the recipe `reader-minilm-3-layers`, the second without its teacher: same layers to begin with, same
windows in the same order, same rate and steps. They and the whole reader then read the same questions, and take turns
at reading 100 paragraphs for one question.

    python benchmarks/three_layers.py --data train-v2.0.json [MORE ...] --questions dev-v2.0.json --work DIR

--data and --questions are files in SQuAD format (https://rajpurkar.github.io/SQuAD-explorer/). A run that was stopped
goes on from DIR. Of a file of --questions without unanswerable ones F1 is that of always answering.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from reader import Ours
from reader import sample as questions_of

from lodestone import ExtractiveReader
from lodestone.components.models import DEFAULT_READER
from lodestone.evaluation.reading import evaluate_squad
from lodestone.training import read_recipe
from lodestone.training.recipe import DataFile, Recipe, Windows
from lodestone.training.running import train

RECIPE = "reader-minilm-3-layers"
WHOLE, TAUGHT, ALONE = "the whole reader", "half of its layers, taught by it", "the same without a teacher"
ROUNDS = 5


def figures(reader: str, windows: Windows, files: Sequence[Path], sample: int | None, precision: str) -> list[float]:
    """F1 of each file at the best threshold and when an answer is always given."""
    found = []
    for file in files:
        loaded = ExtractiveReader(
            reader, max_seq_length=windows.max_seq_length, stride=windows.stride, precision=precision
        )
        metrics = evaluate_squad(file, loaded, sample=sample, threshold=1.0).metrics
        found += [metrics.get("best_f1", metrics["f1"]), metrics.get("HasAns_f1", metrics["f1"])]
    return found


def speeds(readers: dict[str, str], data: Path, precision: str) -> dict[str, float]:
    """By how much each reader is faster than the first: the median of each round's ratio."""
    work = questions_of(data, 1, 100)
    timed = {name: Ours(reader, precision, work) for name, reader in readers.items()}
    rounds = [{name: each.time(kept=True) for name, each in timed.items()} for _ in range(ROUNDS)]
    return {name: median(each[WHOLE] / each[name] for each in rounds) for name in readers}


def main() -> None:
    """Train, read, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--questions", type=Path, nargs="+", required=True)
    parser.add_argument("--sample", type=int, help="questions of each file; without it all")
    parser.add_argument("--work", type=Path, required=True, help="where the readers are kept")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="values of the recipe")
    parser.add_argument("--precision", default="auto", help="that the readers read in")
    given = parser.parse_args()
    logging.getLogger("lodestone").setLevel(logging.ERROR)  # the students have no calibration, and need none
    recipe = read_recipe(RECIPE, given.set)
    recipe = replace(recipe, data=replace(recipe.data, files=tuple(DataFile(str(file)) for file in given.data)))
    given.work.mkdir(parents=True, exist_ok=True)

    def made(name: str, by: Recipe) -> str:
        return str(train(by, given.work / name, tell=lambda line: print(f"{name}: {line}", file=sys.stderr)).folder)

    readers = {
        WHOLE: DEFAULT_READER,
        TAUGHT: made("taught", recipe),
        ALONE: made("alone", replace(recipe, distillation=None)),
    }
    columns = [f"{file.stem}, {what}" for file in given.questions for what in ("best F1", "always")]
    print("| | " + " | ".join(columns) + " | speed |\n| --- |" + " --- |" * (len(columns) + 1))
    rows = {
        name: figures(reader, recipe.windows, given.questions, given.sample, given.precision)
        for name, reader in readers.items()
    }
    faster = speeds(readers, given.questions[0], given.precision)
    for name, row in rows.items():
        shown = [f"{value:.1f} ({value / whole:.1%})" for value, whole in zip(row, rows[WHOLE], strict=True)]
        print(f"| {name} | " + " | ".join(shown) + f" | {faster[name]:.2f}x |")


if __name__ == "__main__":
    main()
