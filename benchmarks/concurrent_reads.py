"""Many questions at once through `ExtractiveReader.run_async`: the same answers as one after the other, and no slower.

    python benchmarks/concurrent_reads.py --data dev-v2.0.json [--calls 200] [--passages 10] [--precision auto]

--data is a file in SQuAD format (https://rajpurkar.github.io/SQuAD-explorer/). Both ways are run in turns, --rounds
times each; seconds are medians. Scores may differ in their last digits, because batches are put together differently;
the largest difference is printed, and the places of all answers are compared.
"""

import argparse
import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from haystack import Document

from lodestone import ExtractiveReader
from lodestone.components.models import DEFAULT_READER
from lodestone.evaluation.squad import read_squad

Call = tuple[str, list[Document]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--reader", default=DEFAULT_READER)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--passages", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    questions = list(read_squad(arguments.data))
    contexts = sorted({question.context for question in questions})
    draw = random.Random(0)
    calls = [
        (question.text, [Document(content=text) for text in draw.sample(contexts, arguments.passages)])
        for question in draw.sample(questions, arguments.calls)
    ]
    reader = ExtractiveReader(arguments.reader, precision=arguments.precision)
    one_by_one(reader, calls)  # loads the model and keeps the passages' tokens

    seconds: dict[str, list[float]] = {"one by one": [], "all at once": []}
    for _ in range(arguments.rounds):
        alone = timed(seconds["one by one"], lambda: one_by_one(reader, calls))
        together = timed(seconds["all at once"], lambda: asyncio.run(at_once(reader, calls)))
    print(f"{len(calls)} calls of {arguments.passages} passages")
    base = median(seconds["one by one"])
    for name, spent in seconds.items():
        print(f"{name:12} {median(spent):6.2f} s  {median(spent) / base:5.2f}")
    pairs = [pair for ours, theirs in zip(alone, together, strict=True) for pair in zip(ours, theirs, strict=True)]
    differing = sum(place(a) != place(b) for a, b in pairs)
    print(f"{differing} of {len(pairs)} answers differ in text or place")
    print(f"largest difference of a score: {max(abs(a.score - b.score) for a, b in pairs):.1e}")


def timed(seconds: list[float], work: Callable[[], Any]) -> Any:
    """The work's result; its time is noted."""
    started = time.perf_counter()
    result = work()
    seconds.append(time.perf_counter() - started)
    return result


def one_by_one(reader: ExtractiveReader, calls: list[Call]) -> list[list[Any]]:
    """The answers of all calls."""
    return [reader.run(question, documents)["answers"] for question, documents in calls]


async def at_once(reader: ExtractiveReader, calls: list[Call]) -> list[list[Any]]:
    """The answers of all calls, asked at the same time."""
    found = await asyncio.gather(*(reader.run_async(question, documents) for question, documents in calls))
    return [result["answers"] for result in found]


def place(answer: Any) -> tuple[Any, ...]:
    """What must be the same, however the answer was found."""
    offset = answer.document_offset
    return answer.data, answer.document and answer.document.id, offset and (offset.start, offset.end)


if __name__ == "__main__":
    main()
