"""The reader against `TransformersExtractiveReader`: same weights, same passages, in turns in one run.

    python -m venv peer && peer/bin/pip install torch transformers-haystack accelerate
    python benchmarks/reader.py --peer-python peer/bin/python --data dev-v2.0.json [--questions 1] [--passages 100]
    python benchmarks/reader.py --peer-python peer/bin/python --data dev-v2.0.json --questions 64 --passages 20

--data is a file in SQuAD format (https://rajpurkar.github.io/SQuAD-explorer/); its longest and shortest paragraphs
alike are among the passages that are read. Ours reads all questions in one `run_batch`, the peer, which has none, one
after the other. Every round runs the peer and each of our precisions once; figures are medians over the rounds, ratios
are medians of each round's ratio.
"""

import argparse
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from haystack import Document

from lodestone import ExtractiveReader
from lodestone.components.errors import LodestoneError
from lodestone.components.models import DEFAULT_READER, resolve_model
from lodestone.evaluation.squad import read_squad

Work = list[tuple[str, list[str]]]
"""Questions, each with the passages to read for it."""

PEER = """
import json, sys, time
from haystack import Document
from haystack.utils import ComponentDevice
from haystack_integrations.components.readers.transformers import TransformersExtractiveReader
model, setup = json.loads(sys.stdin.readline())
reader = TransformersExtractiveReader(
    model=model, device=ComponentDevice.from_str("cpu"), model_kwargs={"dtype": "float32"}
)
work = [(question, [Document(content=text) for text in passages]) for question, passages in setup]
reader.run(query=work[0][0], documents=work[0][1][:4])
print("ready", flush=True)
for _ in sys.stdin:
    started = time.perf_counter()
    for question, documents in work:
        reader.run(query=question, documents=documents)
    print(time.perf_counter() - started, flush=True)
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", type=Path, required=True, help="python of the peer's environment")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--reader", default=DEFAULT_READER)
    parser.add_argument("--questions", type=int, default=1)
    parser.add_argument("--passages", type=int, default=100, help="for each question")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    work = sample(arguments.data, arguments.questions, arguments.passages)

    peer = start_peer(arguments.peer_python, str(resolve_model(arguments.reader)), work)
    ours = {}
    for precision in ("float32", "bfloat16", "int8"):
        try:
            ours[precision] = Ours(arguments.reader, precision, work)
        except LodestoneError as error:
            print(f"{precision} is left out: {error}")
    seconds: dict[str, list[float]] = {}
    for _ in range(arguments.rounds):
        seconds.setdefault("peer, float32", []).append(time_peer(peer))
        for precision, reader in ours.items():
            seconds.setdefault(f"{precision}, tokens kept", []).append(reader.time(kept=True))
            seconds.setdefault(f"{precision}, nothing kept", []).append(reader.time(kept=False))
    peer.kill()
    passages = sum(len(texts) for _, texts in work)
    print(f"{len(work)} questions, {passages} passages to read, {arguments.rounds} rounds")
    print(f"{'':24} {'passages/s':>10} {'ratio':>6}")
    base = seconds["peer, float32"]
    for name, spent in seconds.items():
        ratio = median(theirs / own for theirs, own in zip(base, spent, strict=True))
        print(f"{name:24} {passages / median(spent):10.1f} {ratio:6.2f}")


def sample(data: Path, questions: int, passages: int) -> Work:
    """Questions of a file, each with some of the file's paragraphs."""
    found = list(read_squad(data))
    contexts = sorted({question.context for question in found})
    draw = random.Random(0)
    chosen = [found[0], *draw.sample(found[1:], questions - 1)]
    return [(question.text, draw.sample(contexts, min(passages, len(contexts)))) for question in chosen]


def start_peer(python: Path, model: str, work: Work) -> "subprocess.Popen[str]":
    """The peer in a process of its own, warm."""
    peer = subprocess.Popen([str(python), "-c", PEER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert peer.stdin is not None
    assert peer.stdout is not None
    peer.stdin.write(json.dumps([model, work]) + "\n")
    peer.stdin.flush()
    if peer.stdout.readline().strip() != "ready":
        sys.exit("the peer did not start; see its message above")
    return peer


def time_peer(peer: "subprocess.Popen[str]") -> float:
    """Seconds of one call of the peer."""
    assert peer.stdin is not None
    assert peer.stdout is not None
    peer.stdin.write("go\n")
    peer.stdin.flush()
    return float(peer.stdout.readline())


class Ours:
    """Our reader in one precision, warm."""

    def __init__(self, model: str, precision: str, work: Work) -> None:
        self._reader = ExtractiveReader(model, precision=precision)
        self._questions = [question for question, _ in work]
        self._documents = [[Document(content=text) for text in texts] for _, texts in work]
        self._reader.run_batch(self._questions, self._documents)

    def time(self, *, kept: bool) -> float:
        """Seconds of one call, with the passages' tokens kept from the last one or not."""
        if not kept:
            self._reader.forget_passages()
        started = time.perf_counter()
        self._reader.run_batch(self._questions, self._documents)
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
