"""How well each way of retrieval finds what was judged relevant, beside a reference implementation of BM25.

    pip install bm25s PyStemmer
    python benchmarks/retrieval_quality.py --data cranfield --data lisa [--output retrieval_quality.md]

--data is a collection in BEIR's format: a folder with corpus.jsonl, queries.jsonl and qrels.tsv. The Cranfield papers
and LISA are at http://ir.dcs.gla.ac.uk/resources/test_collections/. Or it is a file in SQuAD's format
(https://rajpurkar.github.io/SQuAD-explorer/): of 800 of its questions the paragraph that each was asked about is to be
found among 4,000. Titles become headings. Everything goes through a FaissDocumentStore with the default embedder; the
reference is bm25s, once as it comes (k1 1.5, b 0.75, Lucene's stop words, Snowball's stemmer) and once with tantivy's
k1 of 1.2 and the very terms that our store searches by.
"""

import argparse
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

from haystack import Document

from lodestone import FaissDocumentStore, FaissHybridRetriever, PassageEmbedder, TextEmbedder
from lodestone.components.passages import searchable_text
from lodestone.components.stores.words import Words
from lodestone.evaluation.retrieval import Collection, Entry, Run, measure, read_collection
from lodestone.evaluation.squad import read_squad

MEASURES = ("nDCG@10", "R@100")
DEPTH = 100
QUESTIONS, PARAGRAPHS = 800, 4000  # of a file in SQuAD's format


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True, help="may be given more than once")
    parser.add_argument("--output", type=Path, help="also write the table here")
    arguments = parser.parse_args()
    table = ["| collection | retrieval | " + " | ".join(MEASURES) + " |", "| --- | --- | ---: | ---: |"]
    for path in arguments.data:
        collection = read_collection(path) if path.is_dir() else squad_collection(path)
        for name, run in runs(collection):
            mean = measure(collection.qrels, run, MEASURES).mean
            figures = " | ".join(f"{mean[measure_name]:.4f}" for measure_name in MEASURES)
            table.append(f"| {path.stem} | {name} | {figures} |")
            print(table[-1], flush=True)
    text = "\n".join(table) + "\n"
    print(f"\n{text}")
    if arguments.output is not None:
        arguments.output.write_text(text, encoding="utf-8")


def squad_collection(path: Path) -> Collection:
    """Paragraphs as documents, and questions of which one paragraph each is known to be relevant."""
    chance = random.Random(0)
    questions = [question for question in read_squad(path) if question.answers]
    asked = chance.sample(questions, min(QUESTIONS, len(questions)))
    needed = dict.fromkeys(question.context for question in asked)
    others = sorted({question.context for question in questions} - needed.keys())
    chance.shuffle(others)
    texts = [*needed, *others[: max(0, PARAGRAPHS - len(needed))]]
    names = {text: str(number) for number, text in enumerate(texts)}
    return Collection(
        {name: Entry("", text) for text, name in names.items()},
        {str(number): question.text for number, question in enumerate(asked)},
        {str(number): {names[question.context]: 1} for number, question in enumerate(asked)},
    )


def runs(collection: Collection) -> list[tuple[str, Run]]:
    """The ranking of every way."""
    documents = [
        Document(id=identifier, content=entry.text, meta={"headings": [entry.title] if entry.title else []})
        for identifier, entry in collection.corpus.items()
    ]
    with tempfile.TemporaryDirectory() as folder, FaissDocumentStore(folder) as store:
        store.write_documents(PassageEmbedder(batch_size=64).run(documents)["documents"])
        embedder = TextEmbedder()
        vectors = {key: embedder.run(text)["embedding"] for key, text in collection.queries.items()}
        by_score = FaissHybridRetriever(store, top_k=DEPTH, fusion="score")
        by_rank = FaissHybridRetriever(store, top_k=DEPTH, fusion="rrf")
        ways: dict[str, Callable[[str, str], list[Document]]] = {
            "dense": lambda key, text: store.embedding_retrieval(vectors[key], top_k=DEPTH),
            "BM25": lambda key, text: store.bm25_retrieval(text, top_k=DEPTH),
            "hybrid, scores": lambda key, text: by_score.run(text, vectors[key])["documents"],
            "hybrid, reciprocal ranks": lambda key, text: by_rank.run(text, vectors[key])["documents"],
        }
        ours = [(name, ranked(collection, way)) for name, way in ways.items()]
    return [*ours, *reference_runs(collection, documents)]


def ranked(collection: Collection, way: Callable[[str, str], list[Document]]) -> Run:
    """The run of one of our ways."""
    return {
        key: {document.id: document.score or 0.0 for document in way(key, text)}
        for key, text in collection.queries.items()
    }


def reference_runs(collection: Collection, documents: list[Document]) -> list[tuple[str, Run]]:
    """bm25s as it comes, and with our terms."""
    import bm25s
    import Stemmer

    def tokens(texts: list[str]) -> list[list[str]]:
        stemmer = Stemmer.Stemmer("english")
        found: list[list[str]] = bm25s.tokenize(
            texts, stopwords="en", stemmer=stemmer, return_ids=False, show_progress=False
        )
        return found

    texts = [searchable_text(document) for document in documents]
    queries = list(collection.queries.values())
    words = Words("english")
    analyzer = words.analyzer()
    corpora = {
        "bm25s": (1.5, tokens(texts), tokens(queries)),
        "bm25s, our terms and k1": (
            1.2,
            [analyzer.analyze(text) for text in texts],
            [list(words.parse(query).terms.elements()) for query in queries],
        ),
    }
    found = []
    for name, (k1, corpus, asked) in corpora.items():
        index = bm25s.BM25(method="lucene", k1=k1, b=0.75)
        index.index(corpus, show_progress=False)
        run = {}
        for key, terms in zip(collection.queries, asked, strict=True):
            scores = index.get_scores(terms) if terms else []
            best = sorted(range(len(scores)), key=lambda row: -scores[row])[:DEPTH]
            run[key] = {documents[row].id: float(scores[row]) for row in best if scores[row] > 0}
        found.append((name, run))
    return found


if __name__ == "__main__":
    main()
