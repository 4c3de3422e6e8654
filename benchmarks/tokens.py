"""What keeping passages' tokens on disk saves: tokenizing against reading them from `token_cache=`.

    python benchmarks/tokens.py --data dev-v2.0.json [--model MODEL] [--passages 1000]

--data is a file in SQuAD format (https://rajpurkar.github.io/SQuAD-explorer/). 100 passages are asked for at a time, on
a warm page cache; hashing the contents and checking the checksums are counted. "From memory" is what a second question
in the same process pays. Every figure is the best of five runs.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from haystack import Document

from lodestone import ExtractiveReader
from lodestone.components.models import DEFAULT_READER, load_tokenizer
from lodestone.components.readers.token_cache import TokenCache
from lodestone.components.readers.token_file import TokenFile
from lodestone.components.readers.tokens import PairTokenizer
from lodestone.evaluation.squad import read_squad

RUNS = 5
CALL = 100


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default=DEFAULT_READER)
    parser.add_argument("--passages", type=int, default=1000)
    arguments = parser.parse_args()
    texts = list(dict.fromkeys(question.context for question in read_squad(arguments.data)))[: arguments.passages]
    pair = PairTokenizer(load_tokenizer(arguments.model))
    tokens = sum(len(passage) for passage in pair.passages(texts))
    print(f"{len(texts)} passages, {tokens} tokens, milliseconds per 1,000 passages, {CALL} at a time")
    with tempfile.TemporaryDirectory() as folder:
        disk = TokenFile(Path(folder), pair.fingerprint())
        memory = TokenCache(pair, disk=disk)
        memory.passages(texts)
        ways: dict[str, Callable[[Sequence[str]], Any]] = {
            "tokenize": lambda part: TokenCache(pair).passages(part),
            "load from disk": lambda part: TokenCache(pair, disk=disk).passages(part),
            "from memory": memory.passages,
        }
        spent = {name: best(way, texts) * 1e6 / len(texts) for name, way in ways.items()}
        disk.close()
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
    for name, milliseconds in spent.items():
        print(f"{name:<16}{milliseconds:9.1f}{spent['tokenize'] / milliseconds:8.1f}x")
    print(f"the file: {size / len(texts) / 1024:.1f} KiB a passage")
    end_to_end(arguments.model, texts[:CALL])


def best(work: Callable[[Sequence[str]], Any], texts: Sequence[str]) -> float:
    """Seconds of the fastest of a few runs over all texts, after one to warm up."""
    seconds = []
    for _ in range(RUNS + 1):
        start = time.perf_counter()
        for at in range(0, len(texts), CALL):
            work(texts[at : at + CALL])
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def end_to_end(model: str, texts: Sequence[str]) -> None:
    """Print tokenization's share of a cold read."""
    reader = ExtractiveReader(model)
    documents = [Document(content=text) for text in texts]
    question = "When was the treaty signed?"
    reader.run(question, documents)
    print(f"\none question over {len(texts)} passages, milliseconds")
    for name, forget in (("tokens not kept", True), ("tokens kept", False)):
        runs = []
        for _ in range(RUNS):
            if forget:
                reader.forget_passages()
            start = time.perf_counter()
            timings = reader.run(question, documents)["meta"]["timings_ms"]
            runs.append(((time.perf_counter() - start) * 1000, timings["tokenize"]))
        total, tokenize = min(runs)
        print(f"{name:<16}{total:9.1f}, of which tokenizing {tokenize:7.1f} ({tokenize / total:.1%})")


if __name__ == "__main__":
    main()
