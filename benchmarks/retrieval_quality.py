"""How well each way of retrieval finds what was judged relevant, beside a reference implementation of BM25.

    pip install bm25s PyStemmer
    python benchmarks/retrieval_quality.py --data cranfield --data lisa [--output retrieval_quality.md]

--data is a collection in BEIR's format: a folder with corpus.jsonl, queries.jsonl and qrels.tsv. The Cranfield papers
and LISA are at http://ir.dcs.gla.ac.uk/resources/test_collections/. Titles become headings. Everything goes through a
FaissDocumentStore with the default embedder; the reference is bm25s, once as it comes (k1 1.5, b 0.75, Lucene's stop
words, Snowball's stemmer) and once with tantivy's k1 of 1.2 and the very terms that our store searches by.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from haystack import Document

from lodestone import FaissDocumentStore, FaissHybridRetriever, PassageEmbedder, TextEmbedder
from lodestone.components.passages import searchable_text
from lodestone.components.stores.words import Words
from lodestone.evaluation.retrieval import Collection, Run, measure, read_collection

MEASURES = ("nDCG@10", "R@100")
DEPTH = 100


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True, help="may be given more than once")
    parser.add_argument("--output", type=Path, help="also write the table here")
    arguments = parser.parse_args()
    table = ["| collection | retrieval | " + " | ".join(MEASURES) + " |", "| --- | --- | ---: | ---: |"]
    for folder in arguments.data:
        collection = read_collection(folder)
        for name, run in runs(collection):
            mean = measure(collection.qrels, run, MEASURES).mean
            figures = " | ".join(f"{mean[measure_name]:.4f}" for measure_name in MEASURES)
            table.append(f"| {folder.name} | {name} | {figures} |")
            print(table[-1], flush=True)
    text = "\n".join(table) + "\n"
    print(f"\n{text}")
    if arguments.output is not None:
        arguments.output.write_text(text, encoding="utf-8")


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
