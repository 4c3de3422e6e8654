"""Compares our exact match and F1 with those of the SQuAD 2.0 evaluation script, digit by digit.

    python -m venv /tmp/tf457 && /tmp/tf457/bin/pip install torch 'transformers==4.57.*'
    python benchmarks/squad_parity.py --reference-python /tmp/tf457/bin/python --data dev-v2.0.json

--data is a file in SQuAD 2.0 format (https://rajpurkar.github.io/SQuAD-explorer/). The reference is
`transformers.data.metrics.squad_metrics.squad_evaluate`, the script as a function, in an environment of its own. Three
sets of predictions are judged by both: those of our reader, one text for all questions, and random spans of the
paragraphs, every fifth of them empty; each as they are, and with no-answer probabilities at three thresholds.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

THRESHOLDS = (0.3, 0.5, 0.8)


def main() -> None:
    """Judge all predictions on both sides and print the differences."""
    if sys.argv[1:2] == ["--judge"]:
        judge_there(*map(Path, sys.argv[2:]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference-python", required=True, help="interpreter with transformers 4.57")
    parser.add_argument("--data", type=Path, required=True, nargs="+", help="SQuAD files")
    parser.add_argument("--reader", help="reader model; the bundled one if left out")
    arguments = parser.parse_args()
    differences = [compare(data, arguments.reader, arguments.reference_python) for data in arguments.data]
    sys.exit(1 if any(differences) else 0)


def compare(data: Path, model: str | None, python: str) -> int:
    """How many figures differ on one file."""
    from lodestone.evaluation.squad import read_squad
    from lodestone.evaluation.squad_metrics import squad_metrics

    questions = list(read_squad(data))
    sets = make_predictions(data, model)
    cases = [
        {"name": name, "predictions": texts, "none": none if threshold is not None else None, "threshold": threshold}
        for name, (texts, none) in sets.items()
        for threshold in (None, *THRESHOLDS)
    ]
    expected = judge(python, [[each.id, list(each.answers)] for each in questions], cases)
    print(f"{data.name}: {len(questions)} questions")
    print(f"{'predictions':<16}{'threshold':>10}{'exact':>20}{'F1':>20}{'best F1':>20}{'figures':>9}{'differ':>8}")
    total = 0
    for case, reference in zip(cases, expected, strict=True):
        threshold = 1.0 if case["threshold"] is None else case["threshold"]
        ours = squad_metrics(questions, case["predictions"], case["none"], threshold)
        differ = [name for name in ours.keys() | reference.keys() if ours.get(name) != reference.get(name)]
        total += len(differ)
        shown = "as they are" if case["threshold"] is None else str(threshold)
        figures = "".join(f"{ours[name]!r:>20}" for name in ("exact", "f1", "best_f1"))
        print(f"{case['name']:<16}{shown:>10}{figures}{len(reference):>9}{len(differ):>8}")
        for name in differ:
            print(f"    {name}: ours {ours.get(name)!r}, theirs {reference.get(name)!r}")
    print(f"figures that differ: {total}")
    return total


def make_predictions(data: Path, model: str | None) -> dict[str, tuple[list[str], list[float]]]:
    """Three sets of predictions, each with no-answer probabilities."""
    from lodestone import ExtractiveReader
    from lodestone.components.models import DEFAULT_READER
    from lodestone.evaluation.reading import evaluate_squad
    from lodestone.evaluation.records import Record
    from lodestone.evaluation.squad import read_squad

    draw = random.Random(0)
    questions = list(read_squad(data))
    result = evaluate_squad(data, ExtractiveReader(model if model is not None else DEFAULT_READER))
    records = [Record.from_dict(entry) for entry in result.questions]
    common = Counter(answer for question in questions for answer in question.answers).most_common(1)[0][0]
    spans = []
    for number, question in enumerate(questions):
        words = question.context.split()
        start = draw.randrange(len(words))
        spans.append("" if number % 5 == 0 else " ".join(words[start : start + draw.randint(1, 6)]))
    # Rounded, so that many are equal.
    drawn = [round(draw.random(), 2) for _ in questions]
    return {
        "our reader": ([record.best for record in records], [record.no_answer for record in records]),
        "a constant": ([common] * len(questions), [0.5] * len(questions)),
        "random spans": (spans, drawn),
    }


def judge(python: str, gold: list[Any], cases: list[dict[str, Any]]) -> list[dict[str, float]]:
    """The figures of the reference."""
    with tempfile.TemporaryDirectory() as folder:
        asked, written = Path(folder) / "cases.json", Path(folder) / "figures.json"
        asked.write_text(json.dumps({"gold": gold, "cases": cases}), encoding="utf-8")
        subprocess.run([python, __file__, "--judge", str(asked), str(written)], check=True)
        return list(json.loads(written.read_text(encoding="utf-8")))


def judge_there(asked: Path, written: Path) -> None:
    """Run in the other environment: judge the cases by its own function."""
    from types import SimpleNamespace

    import transformers
    from transformers.data.metrics.squad_metrics import squad_evaluate

    if not transformers.__version__.startswith("4."):
        sys.exit(f"--reference-python must have transformers 4.57, it has {transformers.__version__}")
    data = json.loads(asked.read_text(encoding="utf-8"))
    examples = [
        SimpleNamespace(qas_id=id_, answers=[{"text": text} for text in answers]) for id_, answers in data["gold"]
    ]
    ids = [example.qas_id for example in examples]
    figures = []
    for case in data["cases"]:
        predictions = dict(zip(ids, case["predictions"], strict=True))
        if case["none"] is None:
            figures.append(squad_evaluate(examples, predictions))
        else:
            none = dict(zip(ids, case["none"], strict=True))
            figures.append(squad_evaluate(examples, predictions, none, case["threshold"]))
    written.write_text(json.dumps(figures), encoding="utf-8")


if __name__ == "__main__":
    main()
