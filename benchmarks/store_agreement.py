"""Asks the same questions of a FAISS store and of Elasticsearch, and tells where they differ, and why.

    python benchmarks/store_agreement.py --launcher LAUNCHER --data ../shared/data [--output FILE]

The launcher starts a node: `LAUNCHER start --run DIR --port N`. Under --data are `demo`, a folder of real documents
with `demo_questions.jsonl`, and `qa/dev`, files in SQuAD's format, of which every paragraph becomes a file and whose
questions are sampled evenly. The folders are indexed once with the pipeline `indexing_faiss`; Elasticsearch gets the
same passages and vectors by an export and an import. Then `query_faiss` and `query_elasticsearch` answer.

Each passage that is among the ten of one store only is counted under one cause, the first that holds:

- tie: where it is missing, its score is that of the tenth, or of one of the ten, to six digits.
- vectors: it is a candidate by vectors in one store and not in the other, whose search by vectors is approximate.
- terms: the two analyzers cut the question into different terms, and its BM25 score, as a share of the question's
  best, differs.
- weights: the terms are the same, and that share differs: BM25 counts a passage's length in other words.
- other: none of these.
"""

import argparse
import collections
import json
import os
import random
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from elasticsearch_nodes import Nodes
from haystack import Document

from lodestone import ElasticsearchStore, FaissDocumentStore, TextEmbedder
from lodestone.components.stores.words import ENGLISH_STOP_WORDS, Words
from lodestone.evaluation.squad import exact_match, f1, read_squad
from lodestone.indexing import IndexingJob
from lodestone.pipelines import load_pipeline
from lodestone.pipelines.answering import QueryPipeline, Question
from lodestone.pipelines.stages import cut_at_embedder

INDEX = "agreement"
TOP_K = 10
CANDIDATES = 50  # that hybrid search takes from each side
EQUAL = 1e-6
CAUSES = ("tie", "vectors", "terms", "weights", "other")

Stores = tuple[FaissDocumentStore, ElasticsearchStore]
Found = dict[str, Document]
Matrix = tuple[list[str], np.ndarray[Any, np.dtype[np.float32]]]


@dataclass(frozen=True)
class Asked:
    """A question with its accepted answers; none if it cannot be answered."""

    text: str
    answers: list[str]


def main() -> None:
    """Index, ask, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--launcher", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--questions", type=int, default=450, help="of qa/dev; the demo's are all asked")
    parser.add_argument("--index", type=Path, help="keep the FAISS index here, and use it if it is there")
    parser.add_argument("--port", type=int, default=19_800)
    parser.add_argument("--output", type=Path, help="also write the tables here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        index = options.index or Path(folder) / "index"
        if not index.exists():
            index_all(options.data, index, Path(folder) / "paragraphs")
        lines: list[str] = []
        node = Nodes(options.launcher, Path(folder) / "node", options.port, heap="1g")
        try:
            node.start()
            os.environ["ELASTICSEARCH_URL"] = node.urls[0]
            with FaissDocumentStore(index) as store, ElasticsearchStore(index=INDEX, replicas=0) as other:
                store.export_to(Path(folder) / "export.jsonl")
                counts = other.import_from(Path(folder) / "export.jsonl")
                lines.append(f"{counts.passages:,} passages of {counts.sources:,} files")
                print(lines[0])
                for name, questions in questions_of(options.data, options.questions).items():
                    part = ["", f"## {name}: {len(questions)} questions", ""]
                    part += [*retrieval_table(questions, (store, other)), "", *answer_table(questions, index)]
                    print("\n".join(part), flush=True)
                    lines += part
        finally:
            node.kill()
    if options.output is not None:
        options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


def index_all(data: Path, index: Path, paragraphs: Path) -> None:
    """Index the documents, and every paragraph as a file of its own."""
    files = sorted((data / "qa" / "dev").glob("*.json"))
    paragraphs.mkdir()
    for number, context in enumerate(sorted({question.context for path in files for question in read_squad(path)})):
        (paragraphs / f"{number:05}.txt").write_text(context, encoding="utf-8")
    stages = cut_at_embedder(load_pipeline("indexing_faiss", index=index))
    IndexingJob(stages).run([data / "demo", paragraphs])
    stages.document_store.close()


def questions_of(data: Path, count: int) -> dict[str, list[Asked]]:
    """The questions by what they are about."""
    lines = (data / "demo_questions.jsonl").read_text(encoding="utf-8").splitlines()
    demo = [json.loads(line) for line in lines if line]
    asked = {"demo": [Asked(one["question"], [one["answer"]] if one["answerable"] else []) for one in demo]}
    files = sorted((data / "qa" / "dev").glob("*.json"))
    for path in files:
        listed = list(read_squad(path))
        sample = random.Random(0).sample(listed, min(count // len(files), len(listed)))
        asked[path.stem] = [Asked(one.text, list(one.answers)) for one in sample]
    return asked


def retrieval_table(questions: list[Asked], stores: Stores) -> list[str]:
    """How far the rankings agree, and why they do not."""
    embedder, matrix = TextEmbedder(), all_vectors(stores[0])
    sums: collections.Counter[str] = collections.Counter()
    for question in questions:
        vector = embedder.run(question.text)["embedding"]
        sums.update(of_vectors(vector, stores, matrix))
        words = of_words(question.text, stores)
        sums.update(words)
        sums.update(of_both(question.text, vector, stores, "terms" if words["cut"] else "weights"))
    count = len(questions)
    share = {name: value / count for name, value in sums.items()}
    causes = ", ".join(f"{cause} {sums[cause]:.0f}" for cause in CAUSES)
    return [
        "| retrieval | |",
        "| --- | ---: |",
        f"| hybrid: overlap@{TOP_K} of the two stores | {share['both']:.4f} |",
        f"| hybrid: the same {TOP_K}, in any order | {sums['same']:.0f} of {count} |",
        f"| hybrid: the same first passage | {sums['first']:.0f} of {count} |",
        f"| passages in the {TOP_K} of one store only, by cause | {sum(sums[one] for one in CAUSES):.0f}: {causes} |",
        f"| vectors alone: overlap@{TOP_K} | {share['dense']:.4f} |",
        f"| vectors alone: recall@{TOP_K} of FAISS, Elasticsearch | {share['faiss']:.4f}, {share['elastic']:.4f} |",
        f"| words alone: overlap@{TOP_K} | {share['words']:.4f} |",
        f"| questions that the two analyzers cut into different terms | {sums['cut']:.0f} of {count} |",
    ]


def all_vectors(store: FaissDocumentStore) -> Matrix:
    """Ids and vectors, of length 1."""
    documents = [document for document in store.filter_documents() if document.embedding is not None]
    vectors = np.array([document.embedding for document in documents], dtype=np.float32)
    return [document.id for document in documents], vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def of_vectors(vector: list[float], stores: Stores, matrix: Matrix) -> dict[str, float]:
    """Overlap by vectors alone, and the recall of each store."""
    ids, vectors = matrix
    best = np.argsort(-(vectors @ np.asarray(vector, dtype=np.float32)), kind="stable")[:TOP_K]
    truth = {ids[row] for row in best}
    faiss, elastic = ({one.id for one in store.embedding_retrieval(vector, top_k=TOP_K)} for store in stores)
    return {
        "dense": overlap(faiss, elastic),
        "faiss": len(truth & faiss) / TOP_K,
        "elastic": len(truth & elastic) / TOP_K,
    }


def of_words(text: str, stores: Stores) -> dict[str, float]:
    """Overlap by words alone, and whether both stores search for the same terms."""
    faiss, elastic = ({one.id for one in store.bm25_retrieval(text, top_k=TOP_K)} for store in stores)
    stop_words = set(ENGLISH_STOP_WORDS.split())
    telling = [word for word in re.findall(r"\w+", text) if word.lower() not in stop_words]
    tokens = stores[1].client.indices.analyze(index=INDEX, field="text", text=" ".join(telling))["tokens"]
    terms = set(Words("english").parse(text).terms)
    return {"words": overlap(faiss, elastic), "cut": {token["token"] for token in tokens} != terms}


def of_both(text: str, vector: list[float], stores: Stores, by_words: str) -> dict[str, float]:
    """Overlap of the hybrid rankings, and the causes of what is in one of them only; `by_words` is the cause where
    BM25 scores differ."""
    # All candidates of each store in their order; the first ten are what its retriever gives.
    whole: list[Found] = [
        {one.id: one for one in store.hybrid_retrieval(text, vector, top_k=2 * CANDIDATES, candidates=2 * CANDIDATES)}
        for store in stores
    ]
    tops = [
        [one.id for one in store.hybrid_retrieval(text, vector, top_k=TOP_K, candidates=CANDIDATES)] for store in stores
    ]
    figures: collections.Counter[str] = collections.Counter()
    figures["both"] += overlap(set(tops[0]), set(tops[1]))  # type: ignore[assignment]
    figures["same"] += set(tops[0]) == set(tops[1])
    figures["first"] += tops[0][:1] == tops[1][:1]
    for here, there in ((0, 1), (1, 0)):
        for name in set(tops[here]) - set(tops[there]):
            cause = cause_of(name, whole[here], whole[there], tops[there])
            figures[by_words if cause == "words" else cause] += 1
    return dict(figures)


def cause_of(name: str, here: Found, there: Found, top: list[str]) -> str:
    """Why a passage is in the ten of one store and not in those of the other.

    :param name: Its id.
    :param here: All candidates of the store that has it among its ten.
    :param there: Those of the other.
    :param top: The ten of the other.
    """
    last = min((there[one].score or 0.0 for one in top if one in there), default=0.0)
    if name in there and abs((there[name].score or 0.0) - last) < EQUAL:
        return "tie"
    if name not in here:
        return "other"
    ranks = [found[name].meta["retrieval"]["dense_rank"] if name in found else None for found in (here, there)]
    if ranks[0] is not None and (ranks[1] is None or ranks[1] > CANDIDATES) and ranks[0] <= CANDIDATES:
        return "vectors"
    if abs(share_of_best(name, here) - share_of_best(name, there)) > EQUAL:
        return "words"
    return "other"


def share_of_best(name: str, found: Found) -> float:
    """A passage's BM25 score as a share of the question's best."""
    scores = {one: document.meta["retrieval"]["bm25_score"] or 0.0 for one, document in found.items()}
    return scores.get(name, 0.0) / max([*scores.values(), EQUAL])


def overlap(one: set[str], other: set[str]) -> float:
    """Share of the passages that both have."""
    return len(one & other) / max(len(one), len(other), 1)


def answer_table(questions: list[Asked], index: Path) -> list[str]:
    """How far the answers agree, and how good they are."""
    faiss, elastic = (
        best_answers(pipeline, name, questions)
        for pipeline, name in (("query_faiss", str(index)), ("query_elasticsearch", INDEX))
    )
    agree = np.mean([f1(one, [other]) for one, other in zip(faiss, elastic, strict=True)])
    same = sum(one == other for one, other in zip(faiss, elastic, strict=True))
    none = sum(one == "" for one in faiss), sum(one == "" for one in elastic)
    lines = [
        "| answers | |",
        "| --- | ---: |",
        f"| F1 between the answers of the two pipelines, no answer being one | {agree:.4f} |",
        f"| the same answer, to the character | {same} of {len(questions)} |",
        f"| no answer, FAISS, Elasticsearch | {none[0]}, {none[1]} |",
    ]
    for name, measure in (("F1", f1), ("exact match", exact_match)):
        means = [
            np.mean([measure(answer, one.answers) for one, answer in zip(questions, answers, strict=True)])
            for answers in (faiss, elastic)
        ]
        lines.append(f"| {name} with what is accepted, FAISS, Elasticsearch | {means[0]:.4f}, {means[1]:.4f} |")
    return lines


def best_answers(definition: str, index: str, questions: list[Asked]) -> list[str]:
    """The best answer to each question, "" where none is the likeliest."""
    pipeline = QueryPipeline(load_pipeline(definition, index=index))
    results = pipeline.ask([Question(one.text) for one in questions])
    return [one.answers[0].data or "" if one.answered and one.answers else "" for one in results]


if __name__ == "__main__":
    main()
