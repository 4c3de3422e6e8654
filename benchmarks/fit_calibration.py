"""Fits the calibration of a reader on questions over many paragraphs, and says how good it is on held-out folds.

    python benchmarks/fit_calibration.py --data dev-v2.0.json [--reader MODEL] [--output calibration.json]

--data is a file in SQuAD 2.0 format (https://rajpurkar.github.io/SQuAD-explorer/). Each question is read in the ten
paragraphs that BM25 finds among all of the file, not in its own, as a query pipeline would. An answer counts as right
when its F1 with an accepted answer is at least 0.5.
"""

import argparse
import hashlib
import random
import tempfile
from pathlib import Path

import numpy as np
from haystack import Document

from lodestone import ExtractiveReader, FaissDocumentStore
from lodestone.components.models import DEFAULT_READER, resolve_model
from lodestone.components.readers.calibration import Calibration, hash_weights
from lodestone.evaluation.calibration import fit_scale_and_offset
from lodestone.evaluation.calibration_metrics import brier_score, expected_calibration_error
from lodestone.evaluation.squad import Question, f1, read_squad

PASSAGES = 10
FOLDS = 5
RIGHT = 0.5


def main() -> None:
    """Read, fit, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--reader", default=DEFAULT_READER)
    parser.add_argument("--questions", type=int, default=2000, help="how many to sample")
    parser.add_argument("--output", type=Path, help="write the calibration here")
    arguments = parser.parse_args()
    questions = list(read_squad(arguments.data))
    contexts = sorted({question.context for question in questions})
    sample = random.Random(0).sample(questions, min(arguments.questions, len(questions)))
    margins, right = read(sample, contexts, arguments.reader)

    scale, offset = fit_scale_and_offset(margins, right)
    stated, truth = held_out(margins, right)
    error = expected_calibration_error(stated, truth)
    brier = brier_score(stated, truth)
    print(f"questions {len(sample)}, top answer right {np.mean(truth):.3f}")
    print(f"scale {scale:.4f}, offset {offset:.4f}")
    print(f"top answer on {FOLDS} held-out folds: ECE {error:.4f}, Brier {brier:.4f}")
    above = stated > 0.8
    print(f"scores above 0.8: {above.mean():.3f} of the questions, right {truth[above].mean():.3f}")
    if arguments.output is not None:
        fitted_on = {
            "data": arguments.data.name,
            "data_sha256": hashlib.sha256(arguments.data.read_bytes()).hexdigest(),
            "questions": len(sample),
            "passages_per_question": PASSAGES,
            "right": f"F1 >= {RIGHT}",
            "held_out_ece": round(error, 4),
            "held_out_brier": round(brier, 4),
        }
        Calibration(scale, offset, hash_weights(resolve_model(arguments.reader)), fitted_on).save(arguments.output)


def read(questions: list[Question], contexts: list[str], model: str) -> tuple[list[list[float]], list[int | None]]:
    """For each question the margins of its answers, best first, and which of them is the right one."""
    reader = ExtractiveReader(model, no_answer=False)
    margins: list[list[float]] = []
    right: list[int | None] = []
    with tempfile.TemporaryDirectory() as folder, FaissDocumentStore(folder) as store:
        store.write_documents([Document(content=context) for context in contexts])
        for start in range(0, len(questions), 50):
            batch = questions[start : start + 50]
            passages = [store.bm25_retrieval(question.text, top_k=PASSAGES) for question in batch]
            texts = [question.text for question in batch]
            for question, answers in zip(batch, reader.run_batch(texts, passages, top_k=1000)["answers"], strict=True):
                answers.sort(key=lambda answer: -answer.meta["margin"])
                margins.append([answer.meta["margin"] for answer in answers])
                gold = question.answers
                hits = (i for i, a in enumerate(answers) if gold and f1(a.data or "", gold) >= RIGHT)
                right.append(next(hits, None))
    return margins, right


def held_out(
    margins: list[list[float]], right: list[int | None]
) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Probability of every question's top answer under a fit that has not seen it, and whether it is right."""
    stated = np.zeros(len(margins))
    for fold in range(FOLDS):
        rest = [i for i in range(len(margins)) if i % FOLDS != fold]
        fitted = Calibration(*fit_scale_and_offset([margins[i] for i in rest], [right[i] for i in rest]))
        for i in range(fold, len(margins), FOLDS):
            stated[i] = fitted.distribution(margins[i])[0][0] if margins[i] else 0.0
    return stated, np.array([float(index == 0) for index in right])


if __name__ == "__main__":
    main()
