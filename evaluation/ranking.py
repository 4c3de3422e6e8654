"""The rankings of a query pipeline's retrievers over a collection with judged queries."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from haystack import Pipeline

from lodestone.components.errors import ConfigurationError
from lodestone.evaluation.bootstrap import confidence_interval
from lodestone.evaluation.corpus import origin
from lodestone.evaluation.fingerprint import count_passages, fingerprint, hash_files, hash_index, hash_pipeline
from lodestone.evaluation.judging import Judgement
from lodestone.evaluation.partial import Entry, Partial, Progress, run_all, sampled
from lodestone.evaluation.results import Result
from lodestone.evaluation.retrieval import Collection, check_depth, measure
from lodestone.pipelines.answering import QueryPipeline, Question

MEASURES = ("nDCG@10", "R@10", "R@100", "P@10", "RR", "AP")
DEPTH = 100


@dataclass(frozen=True)
class _Query:
    id: str
    text: str


def collection_files(folder: Path) -> list[Path]:
    """The files that a collection is made of.

    :param folder: The collection's folder.
    """
    return [folder / name for name in ("corpus.jsonl", "queries.jsonl", "qrels.tsv")]


def evaluate_retrieval(
    folder: Path,
    collection: Collection,
    pipeline: Pipeline,
    *,
    measures: Sequence[str] = MEASURES,
    depth: int = DEPTH,
    sample: int | None = None,
    partial: Path | None = None,
    progress: Progress | None = None,
) -> Result:
    """Search for every judged query of a collection with what a query pipeline has before its reader.

    :param folder: What `collection` was read from.
    :param collection: The collection.
    :param pipeline: As for `QueryPipeline`, over an index of the collection's corpus; it is taken apart.
    :param measures: Names of measures, as for `measure`.
    :param depth: How many documents are ranked, fewer where the pipeline gives no more; a document ranks where its
        first passage does.
    :param sample: Only so many queries, drawn with a fixed seed; None for all.
    :param partial: As in `evaluate_squad`.
    :param progress: As there.
    :raises ConfigurationError: If no query is judged, a measure is unknown or a parameter out of range.
    """
    judged = [query for query, found in collection.qrels.items() if any(score > 0 for score in found.values())]
    if not judged:
        raise ConfigurationError(f"{folder / 'qrels.tsv'} has no relevant document for any query")
    check_depth(measures, depth)
    queries = sampled([_Query(query, collection.queries[query]) for query in judged], sample)
    pipeline_hash = hash_pipeline(pipeline)
    asked = QueryPipeline(pipeline)
    sha256 = hash_files(collection_files(folder))
    kept = Partial(partial, fingerprint("retrieval", sha256, pipeline_hash, hash_index(asked.store), depth, sample))
    entries = run_all(queries, lambda batch: [_search(asked, query, depth) for query in batch], kept, progress)
    run = {entry["id"]: {name: 1.0 / rank for rank, name in enumerate(entry["documents"], 1)} for entry in entries}
    found = measure({query.id: collection.qrels[query.id] for query in queries}, run, measures)
    by_query = [{name: found.by_query[name][query.id] for name in measures} for query in queries]
    intervals = {name: confidence_interval([each[name] for each in by_query]) for name in measures}
    settings = {
        "pipeline_sha256": pipeline_hash,
        "passages": count_passages(asked.store),
        "depth": depth,
        "sample": sample,
    }
    described = {"file": folder.name, "sha256": sha256, "questions": len(queries)}
    return Result.of("retrieval", described, settings, Judgement(dict(found.mean), intervals, by_query), entries)


def _search(pipeline: QueryPipeline, query: _Query, depth: int) -> Entry:
    wanted, given = depth, -1
    while True:
        passages = pipeline.search(Question(query.text, id=query.id, top_k=wanted))
        names = list(dict.fromkeys(name for passage in passages if (name := origin(passage)) is not None))
        # Several passages of one document take the places of others; fewer than wanted, or no more, are all there are.
        if len(names) >= depth or len(passages) < wanted or len(passages) == given:
            return {"id": query.id, "question": query.text, "documents": names[:depth]}
        wanted, given = 2 * wanted, len(passages)
