"""Questions over a folder of real documents: exact match, F1, and whether the right file is among the answers.

    python benchmarks/demo_corpus.py --corpus FOLDER --questions QUESTIONS.jsonl [--index DIR]

QUESTIONS.jsonl holds one question a line: `question`, `answerable`, `file` (path within FOLDER) and `answer` or
`answers`. The project's own example is `examples/corpus` with `examples/questions.jsonl` (the default).
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from lodestone.evaluation.squad import exact_match, f1
from lodestone.indexing import IndexingJob
from lodestone.pipelines import load_pipeline
from lodestone.pipelines.answering import Answered, QueryPipeline, Question
from lodestone.pipelines.stages import cut_at_embedder

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def main() -> None:
    """Index the corpus, ask the questions, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=EXAMPLES / "corpus")
    parser.add_argument("--questions", type=Path, default=EXAMPLES / "questions.jsonl")
    parser.add_argument("--index", type=Path, help="keep the index here, and use it if it is there")
    parser.add_argument("--verbose", action="store_true", help="print every question with its answer")
    arguments = parser.parse_args()
    questions = [json.loads(line) for line in arguments.questions.read_text(encoding="utf-8").splitlines() if line]
    with tempfile.TemporaryDirectory() as temporary:
        index = arguments.index if arguments.index is not None else Path(temporary) / "index"
        report = IndexingJob(cut_at_embedder(load_pipeline("indexing_faiss", index=index))).run([arguments.corpus])
        print(f"indexed {report.indexed + report.unchanged} of {report.files} files, {report.passages} new passages")
        for outcome in [*report.failed, *report.skipped]:
            print(f"  not indexed: {outcome.path}: {outcome.reason}")
        pipeline = QueryPipeline(load_pipeline("query_faiss", index=index))
        results = pipeline.ask([Question(entry["question"], id=entry["id"], top_k=5) for entry in questions])
        pipeline.store.close()
    if arguments.verbose:
        print_answers(questions, results)
    print_figures(questions, results)


def gold(entry: dict[str, Any]) -> list[str]:
    """The accepted answers of a question."""
    return list(entry["answers"]) if "answers" in entry else [entry["answer"]]


def print_answers(questions: list[dict[str, Any]], results: list[Answered]) -> None:
    """Print each question with what was answered and what should have been."""
    for entry, result in zip(questions, results, strict=True):
        best = result.answers[0] if result.answers else None
        expected = f"{gold(entry)[0]!r} in {entry['file']}" if entry["answerable"] else "no answer"
        found = f"{best.data!r} ({best.score:.2f}) in {best.document.meta['source']}" if best and best.document else ""
        score = f1(best.data or "", gold(entry)) if best and entry["answerable"] else 0.0
        print(f"{entry['id']}  F1 {score:.2f}  none {result.no_answer_score:.2f}  {entry['question']}")
        print(f"    {found}  |  expected {expected}")


def print_figures(questions: list[dict[str, Any]], results: list[Answered]) -> None:
    """Print the figures over the answerable questions, and how the others rank."""
    matches, overlaps, first, among = [], [], [], []
    for entry, result in zip(questions, results, strict=True):
        if not entry["answerable"]:
            continue
        texts = [answer.data or "" for answer in result.answers]
        files = [answer.document.meta["source"] for answer in result.answers if answer.document is not None]
        matches.append(exact_match(texts[0] if texts else "", gold(entry)))
        overlaps.append(f1(texts[0] if texts else "", gold(entry)))
        first.append(entry["file"] in files[:1])
        among.append(entry["file"] in files[:5])
    print(f"answerable questions      {len(matches)}")
    print(f"exact match, top answer   {np.mean(matches):.3f}")
    print(f"F1, top answer            {np.mean(overlaps):.3f}")
    print(f"right file, top answer    {np.mean(first):.3f}")
    print(f"right file, top 5 answers {np.mean(among):.3f}")
    answerable = np.array([entry["answerable"] for entry in questions])
    none = np.array([result.no_answer_score for result in results])
    said = np.array([not result.answered for result in results])
    pairs = (none[~answerable][:, None] > none[answerable][None, :]).mean()
    print(f"unanswerable questions    {int((~answerable).sum())}")
    print(f'"no answer" scores higher for an unanswerable than for an answerable one: {pairs:.3f} of pairs (AUROC)')
    print(f'"no answer" said          {said[~answerable].mean():.3f} of the unanswerable')
    print(f"                          {said[answerable].mean():.3f} of the answerable")


if __name__ == "__main__":
    main()
