"""How good a ranking is: collections in BEIR's format, measured by ir-measures (trec_eval's definitions)."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lodestone.components.errors import ConfigurationError, LodestoneError
from lodestone.evaluation.squad import is_text

DEFAULT_MEASURES = ("nDCG@10", "R@100", "P@10", "RR", "AP")

Qrels = Mapping[str, Mapping[str, int]]
"""For each query's id the relevance of documents by id: 0 is not relevant."""
Run = Mapping[str, Mapping[str, float]]
"""For each query's id the scores of documents by id: larger is better."""


@dataclass(frozen=True)
class Entry:
    """A document of a collection.

    :param title: Its title; "" where it has none.
    :param text: Its text.
    """

    title: str
    text: str


@dataclass(frozen=True)
class Collection:
    """Documents, queries, and which document is relevant to which query.

    :param corpus: Documents by id.
    :param queries: Queries by id.
    :param qrels: Relevance by query and document.
    """

    corpus: Mapping[str, Entry]
    queries: Mapping[str, str]
    qrels: Qrels


@dataclass(frozen=True)
class Measured:
    """What a run was measured to be.

    :param mean: By name of the measure, over the queries that have a relevant document.
    :param by_query: By name of the measure, then by query's id.
    """

    mean: Mapping[str, float]
    by_query: Mapping[str, Mapping[str, float]]


def read_collection(folder: Path) -> Collection:
    """Read a collection in the format of BEIR (Thakur et al. 2021).

    :param folder: Holds `corpus.jsonl` (`_id`, `text`, perhaps `title`), `queries.jsonl` (`_id`, `text`) and
        `qrels.tsv` (`query-id`, `corpus-id`, `score`, with a header).
    :raises ConfigurationError: If a file is missing or malformed, or a judgement names an unknown id: the message names
        the line.
    """
    corpus = {
        identifier: Entry(str(entry.get("title") or ""), text)
        for identifier, text, entry in _entries(folder / "corpus.jsonl")
    }
    if not any(entry.text.strip() or entry.title.strip() for entry in corpus.values()):
        raise ConfigurationError(f"{folder / 'corpus.jsonl'} holds no text")
    queries = {identifier: text for identifier, text, _ in _entries(folder / "queries.jsonl")}
    qrels: dict[str, dict[str, int]] = {}
    for place, query, document, relevance in _judgements(folder / "qrels.tsv"):
        if query not in queries:
            raise ConfigurationError(f"{place}: there is no query {query!r} in queries.jsonl")
        if document not in corpus:
            raise ConfigurationError(f"{place}: there is no document {document!r} in corpus.jsonl")
        if qrels.setdefault(query, {}).setdefault(document, relevance) != relevance:
            raise ConfigurationError(f"{place}: the document {document!r} was judged otherwise for {query!r} before")
    return Collection(corpus, queries, qrels)


def measure(qrels: Qrels, run: Run, names: Sequence[str] = DEFAULT_MEASURES) -> Measured:
    """Measure a run.

    :param qrels: The judgements. Only queries with a relevant document count; one that the run lacks counts as 0.
    :param run: The run.
    :param names: ir-measures' names: `nDCG@10`, `R@100` (recall), `P@10` (precision), `RR` (reciprocal rank), `AP`.
    :raises ConfigurationError: If a name is unknown.
    :raises LodestoneError: If ir-measures is not installed.
    """
    measures = [_parsed(name) for name in names]
    judged = {query: dict(found) for query, found in qrels.items() if any(score > 0 for score in found.values())}
    ranked = {query: dict(found) for query, found in run.items() if found and query in judged}
    by_query: dict[str, dict[str, float]] = {name: dict.fromkeys(judged, 0.0) for name in names}
    named = dict(zip(map(str, measures), names, strict=True))
    try:
        for metric in _ir_measures().iter_calc(measures, judged, ranked):
            by_query[named[str(metric.measure)]][metric.query_id] = float(metric.value)
    except ValueError as error:
        raise ConfigurationError(f"ir-measures cannot compute {', '.join(names)} here: {error}") from error
    mean = {name: sum(values.values()) / len(values) if values else 0.0 for name, values in by_query.items()}
    return Measured(mean, by_query)


def check_depth(names: Sequence[str], depth: int) -> None:
    """Refuse measures that look at more documents than are retrieved.

    :param names: As for `measure`.
    :param depth: How many documents are.
    :raises ConfigurationError: If a measure looks further, or a name is unknown.
    """
    if depth < 1:
        raise ConfigurationError(f"the depth must be at least 1, got {depth}")
    for name in names:
        cutoff = _parsed(name).params.get("cutoff", 0)
        if cutoff > depth:
            raise ConfigurationError(
                f"{name} looks at {cutoff} documents, but only {depth} are retrieved; "
                f"give --depth {cutoff}, or other measures"
            )


def _ir_measures() -> Any:
    try:
        import ir_measures
    except ImportError as error:
        raise LodestoneError("measuring rankings needs ir-measures: pip install 'lodestone[evaluate]'") from error
    return ir_measures


def _parsed(name: str) -> Any:
    try:
        return _ir_measures().parse_measure(name)
    except (NameError, ValueError, SyntaxError) as error:
        raise ConfigurationError(
            f"{name!r} is no measure of ir-measures; some that are: {', '.join(DEFAULT_MEASURES)}"
        ) from error


def _entries(path: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    seen = set()
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            identifier, text = entry["_id"], entry["text"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ConfigurationError(f"{path}:{number} must be an object with _id and text: {error!r}") from error
        if not isinstance(identifier, str) or not isinstance(text, str):
            raise ConfigurationError(f"{path}:{number}: _id and text must be strings")
        if not is_text(json.dumps(entry, ensure_ascii=False)):
            raise ConfigurationError(f"{path}:{number}: holds half a surrogate pair, which is no text")
        if identifier in seen:
            raise ConfigurationError(f"{path}:{number}: the id {identifier!r} comes twice")
        seen.add(identifier)
        yield identifier, text, entry


def _judgements(path: Path) -> Iterator[tuple[str, str, str, int]]:
    for number, row in enumerate(csv.reader(_lines(path), delimiter="\t", quoting=csv.QUOTE_NONE), 1):
        if not row:
            continue
        try:
            if number == 1:
                _check_header(path, row)
                continue
            query, document, relevance = row
            yield f"{path}:{number}", query, document, int(relevance)
        except ValueError as error:
            raise ConfigurationError(
                f"{path}:{number} must be a query's id, a document's id and a whole number, with tabs between: {error}"
            ) from error


def _check_header(path: Path, row: Sequence[str]) -> None:
    # The first line is left aside; without a header that would be a judgement.
    if row[-1].strip().lstrip("-").isdigit():
        raise ConfigurationError(f"{path}:1 must be a header, such as query-id, corpus-id, score; it is a judgement")


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8", newline="\n") as lines:
            for line in lines:
                yield line.removesuffix("\n").removesuffix("\r")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ConfigurationError(
            f"{path} does not exist: a collection is a folder with corpus.jsonl, queries.jsonl and qrels.tsv"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8: {error}") from error
