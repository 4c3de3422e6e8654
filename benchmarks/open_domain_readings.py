"""Reads questions in what BM25 retrieves, and keeps what the reader said, so that scoring can be tried in seconds."""

import gzip
import json
import random
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from haystack import Document

from lodestone import ExtractiveReader, FaissDocumentStore
from lodestone.components.readers.evidence import gather_evidence
from lodestone.components.readers.merging import MergedAnswer, Merger, Quote
from lodestone.evaluation.calibration import Labelled, label
from lodestone.evaluation.fingerprint import fingerprint, hash_files
from lodestone.evaluation.partial import Entry, Partial
from lodestone.evaluation.squad import Question, read_squad

PASSAGES = 10
_BATCH = 50


@dataclass(frozen=True)
class Reading:
    """A question with the passages that BM25 found and all that the reader saw in them.

    :param question: The question.
    :param passages: The passages, best first; `score` is BM25's.
    :param windows: For each window its quotes, the best first.
    """

    question: Question
    passages: list[Document]
    windows: list[list[Quote]]

    def merged(self) -> list[MergedAnswer]:
        """The distinct answers, as the reader merges them."""
        merger = Merger(0.01, attrgetter("margin"))
        for quotes in self.windows:
            merger.add(quotes)
        return merger.merged()

    def labelled(self) -> Labelled:
        """The answers' features, and which are right."""
        return label(gather_evidence(self.question.text, self.passages, self.merged()), self.question.answers)


def sample(questions: Sequence[Question], count: int) -> list[Question]:
    """A seeded sample; of a file with unanswerable questions half are such."""
    chance = random.Random(0)
    answerable = [question for question in questions if question.answers]
    unanswerable = [question for question in questions if not question.answers]
    if not unanswerable:
        return chance.sample(answerable, min(count, len(answerable)))
    chosen = chance.sample(answerable, count // 2) + chance.sample(unanswerable, count // 2)
    chance.shuffle(chosen)
    return chosen


def corpus(files: Sequence[Path]) -> list[str]:
    """All paragraphs of the files, each once, in the order of their texts."""
    return sorted({question.context for file in files for question in read_squad(file)})


def readings(
    file: Path, files: Sequence[Path], count: int, *, model: str, precision: str, cache: Path
) -> list[Reading]:
    """Read a sample of a file's questions, or load what was read before; what was stopped goes on.

    :param file: The questions.
    :param files: The files whose paragraphs are searched.
    :param count: How many questions.
    :param model: The reader model.
    :param precision: What it computes in.
    :param cache: Folder for what was read.
    """
    texts = corpus(files)
    chosen = {question.id: question for question in sample(list(read_squad(file)), count)}
    name = f"{file.stem}.{len(chosen)}.{Path(model).name}.{precision}.jsonl.gz"
    kept = cache / name
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        unfinished = cache / f"{name}.unfinished"
        partial = Partial(unfinished, fingerprint(name, hash_files(files)))
        done = {entry["id"] for entry in partial.entries}
        todo = [question for question in chosen.values() if question.id not in done]
        for entries in _read(todo, texts, model, precision):
            partial.add(entries)
        with gzip.open(kept.with_suffix(".new"), "wt", encoding="utf-8") as stream:
            stream.writelines(json.dumps(entry) + "\n" for entry in partial.entries)
        kept.with_suffix(".new").replace(kept)
        unfinished.unlink()
    with gzip.open(kept, "rt", encoding="utf-8") as stream:
        return [_restored(json.loads(line), chosen, texts) for line in stream]


def _read(questions: list[Question], texts: list[str], model: str, precision: str) -> Iterator[list[Entry]]:
    numbers = {text: number for number, text in enumerate(texts)}
    reader = ExtractiveReader(model, precision=precision)
    with tempfile.TemporaryDirectory() as folder, FaissDocumentStore(folder) as store:
        store.write_documents([Document(content=text) for text in texts])
        for start in range(0, len(questions), _BATCH):
            batch = questions[start : start + _BATCH]
            # Words in quotes are a phrase that must occur, which a question's need not.
            words = [question.text.replace('"', " ") for question in batch]
            passages = [store.bm25_retrieval(text, top_k=PASSAGES) for text in words]
            windows: dict[int, list[Any]] = defaultdict(list)
            for number, quotes in reader.read_windows([question.text for question in batch], passages):
                if quotes:
                    place = next(i for i, each in enumerate(passages[number]) if each.id == quotes[0].document.id)
                    spans = [[quote.start, quote.end, round(quote.margin, 4)] for quote in quotes]
                    windows[number].append([place, round(quotes[0].logit - quotes[0].margin, 4), spans])
            found = [[[numbers[each.content or ""], each.score] for each in listed] for listed in passages]
            yield [
                {"id": question.id, "passages": found[number], "windows": windows[number]}
                for number, question in enumerate(batch)
            ]
            print(f"  read {min(start + _BATCH, len(questions))} of {len(questions)} questions", flush=True)


def _restored(entry: dict[str, Any], questions: dict[str, Question], texts: list[str]) -> Reading:
    passages = [Document(id=str(number), content=texts[number], score=score) for number, score in entry["passages"]]
    windows = [
        [Quote(passages[place], start, end, margin, margin + null) for start, end, margin in spans]
        for place, null, spans in entry["windows"]
    ]
    return Reading(questions[entry["id"]], passages, windows)
