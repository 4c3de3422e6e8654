"""What a precision of the embedding model costs in ranking: exact dense search over a collection, by each precision.

    python benchmarks/embedding_quality.py --collection cranfield [--embedder MODEL] [--precisions float32,int8]

--collection is a folder in the format of BEIR (https://github.com/beir-cellar/beir): corpus.jsonl, queries.jsonl and
qrels.tsv. Cranfield and LISA are at http://ir.dcs.gla.ac.uk/resources/test_collections/. Queries are embedded in the
same precision as the documents. Documents are cut at the model's maximum length. int8 is measured where `lodestone
quantize` has made it.
"""

import argparse
from pathlib import Path

import numpy as np

from lodestone import PassageEmbedder, TextEmbedder
from lodestone.components.errors import ConfigurationError
from lodestone.components.models import DEFAULT_EMBEDDER
from lodestone.evaluation.retrieval import Collection, measure, read_collection

MEASURES = ("nDCG@10", "R@100")
DEPTH = 100


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collection", type=Path, required=True)
    parser.add_argument("--embedder", default=DEFAULT_EMBEDDER)
    parser.add_argument("--precisions", default="float32,bfloat16,int8")
    arguments = parser.parse_args()
    collection = read_collection(arguments.collection)
    print(f"{arguments.embedder}, {len(collection.corpus)} documents, {len(collection.qrels)} judged queries")
    print(f"{'precision':<12}" + "".join(f"{name:>10}" for name in MEASURES))
    for precision in arguments.precisions.split(","):
        try:
            found = measure(collection.qrels, dense_run(collection, arguments.embedder, precision), MEASURES)
        except ConfigurationError as error:
            print(f"{precision} is left out: {error}")
            continue
        print(f"{precision:<12}" + "".join(f"{found.mean[name]:>10.4f}" for name in MEASURES))


def dense_run(collection: Collection, model: str, precision: str) -> dict[str, dict[str, float]]:
    """The nearest documents of every judged query."""
    embedder = PassageEmbedder(model, precision=precision)
    ids = list(collection.corpus)
    vectors = embedder.embed([f"{entry.title}\n{entry.text}".strip() for entry in collection.corpus.values()])
    asker = TextEmbedder(model, precision=precision)
    run = {}
    for query in collection.qrels:
        scores = vectors @ np.asarray(asker.run(collection.queries[query])["embedding"], dtype=np.float32)
        best = np.argsort(-scores, kind="stable")[:DEPTH]
        run[query] = {ids[at]: float(scores[at]) for at in best}
    return run


if __name__ == "__main__":
    main()
