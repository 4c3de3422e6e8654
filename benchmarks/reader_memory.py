"""How much memory one call of the reader takes above the loaded model, however many passages it is given.

    python benchmarks/reader_memory.py --data train-v2.0.json [--passages 2000,20000] [--precision auto]

--data is a file in SQuAD format (https://rajpurkar.github.io/SQuAD-explorer/). Where it has fewer paragraphs than asked
for they come again with another first word, so that none is merged with its like. Each size is read in a process of its
own; the peak is the process's largest resident size, the base its size after the model has answered once.
"""

import argparse
import multiprocessing
import resource
import time
from pathlib import Path

from haystack import Document

from lodestone import ExtractiveReader
from lodestone.components.models import DEFAULT_READER
from lodestone.evaluation.squad import read_squad


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--reader", default=DEFAULT_READER)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--passages", default="2000,20000")
    arguments = parser.parse_args()
    print(f"{'passages':>8} {'seconds':>8} {'base MB':>8} {'peak MB':>8} {'above MB':>9}")
    for count in map(int, arguments.passages.split(",")):
        context = multiprocessing.get_context("spawn")
        with context.Pool(1) as pool:
            seconds, base, peak = pool.apply(read, (arguments.data, count, arguments.reader, arguments.precision))
        print(f"{count:>8} {seconds:>8.1f} {base:>8.0f} {peak:>8.0f} {peak - base:>9.0f}")


def read(data: Path, count: int, model: str, precision: str) -> tuple[float, float, float]:
    """Read so many passages for one question.

    :returns: Seconds, resident megabytes before, and the most there were.
    """
    questions = list(read_squad(data))
    contexts = list(dict.fromkeys(question.context for question in questions))
    documents = [Document(content=f"{at // len(contexts)} {contexts[at % len(contexts)]}") for at in range(count)]
    reader = ExtractiveReader(model, precision=precision)
    reader.run(questions[0].text, documents[:100])
    base = resident()
    started = time.perf_counter()
    reader.run(questions[0].text, documents)
    return time.perf_counter() - started, base, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def resident() -> float:
    """The process's resident megabytes now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
