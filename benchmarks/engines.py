"""How fast each engine is: bare forward passes, a reader over 100 passages, and embedding.

    python benchmarks/engines.py [--data dev-v2.0.json] [--reader MODEL] [--embedder MODEL] [--passages 100]

--data is a file in SQuAD format (https://rajpurkar.github.io/SQuAD-explorer/) whose paragraphs are read and embedded;
without it they come from the project's own examples. Every figure is the best of three runs. "Of bare" is the reader's
tokens a second by those of the same engine's forward passes on full batches of windows of equal length. int8 is
measured where `lodestone quantize` has made it.
"""

import argparse
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from haystack import Document

from lodestone import ExtractiveReader, PassageEmbedder
from lodestone.components.engines import READER, Engine, make_engine
from lodestone.components.engines.engine import Inputs, Outputs
from lodestone.components.engines.openvino_engine import available_cores
from lodestone.components.errors import ConfigurationError
from lodestone.components.models import DEFAULT_EMBEDDER, DEFAULT_READER, resolve_model
from lodestone.evaluation.quantizing import EXAMPLES, example_questions
from lodestone.evaluation.squad import read_squad

LENGTH = 192
RUNS = 3
SETTINGS = (
    ("torch", "float32"),
    ("torch", "bfloat16"),
    ("openvino", "float32"),
    ("openvino", "bfloat16"),
    ("openvino", "int8"),
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--reader", default=DEFAULT_READER)
    parser.add_argument("--embedder", default=DEFAULT_EMBEDDER)
    parser.add_argument("--passages", type=int, default=100, help="how many the reader reads")
    parser.add_argument("--embed", type=int, default=1000, help="how many passages are embedded")
    parser.add_argument("--part", choices=("all", "forward", "embed"), default="all")
    arguments = parser.parse_args()
    question, passages = texts(arguments.data)
    print(f"{available_cores()} cores, {len(passages)} different passages")
    if arguments.part != "embed":
        measure_reader(arguments.reader, question, repeated(passages, arguments.passages))
    if arguments.part != "forward":
        measure_embedder(arguments.embedder, repeated(passages, arguments.embed))


def texts(data: Path | None) -> tuple[str, list[str]]:
    """A question and passages of mixed length."""
    if data is not None:
        questions = list(read_squad(data))
        return questions[0].text, list(dict.fromkeys(question.context for question in questions))
    parts = [path.read_text(encoding="utf-8") for path in sorted((EXAMPLES / "corpus").rglob("*.md"))]
    passages = [part.strip() for text in parts for part in _cut(text)]
    return next(example_questions()).text, [passage for passage in passages if passage]


def _cut(text: str) -> Iterator[str]:
    words, size = text.split(" "), 0
    start = 0
    for at in range(len(words)):
        size += 1
        if size >= 60 + (at * 37) % 90:
            yield " ".join(words[start : at + 1])
            start, size = at + 1, 0
    yield " ".join(words[start:])


def repeated(passages: Sequence[str], count: int) -> list[str]:
    """As many passages as wanted; those that come again differ in their first word, so that none is read but once."""
    return [f"{at // len(passages)}. {passages[at % len(passages)]}" for at in range(count)]


def best(work: Callable[[], Any]) -> float:
    """Seconds of the fastest of a few runs, after one to warm up."""
    work()
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


class _Counter:
    """An engine that counts the tokens it is given, padding left out."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self.tokens = engine, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def forward_many(self, batches: Iterable[Inputs]) -> Iterator[Outputs]:
        return self._engine.forward_many(self._counted(batches))

    def _counted(self, batches: Iterable[Inputs]) -> Iterator[Inputs]:
        for inputs in batches:
            self.tokens += int(inputs["attention_mask"].sum())
            yield inputs


def measure_reader(model: str, question: str, passages: Sequence[str]) -> None:
    """Print the reader's figures for each engine."""
    folder = resolve_model(model)
    documents = [Document(content=text) for text in passages]
    print(f"\n{model}, windows of {LENGTH} tokens; {len(documents)} passages for one question")
    print(
        f"{'engine':<20}{'bare tokens/s':>14}{'ratio':>7}{'passages/s':>12}{'tokens/s':>10}{'of bare':>9}{'ratio':>7}"
    )
    first: tuple[float, float] | None = None
    for name, precision in SETTINGS:
        try:
            engine = make_engine(folder, READER, device="cpu", engine=name, precision=precision)
        except ConfigurationError as error:
            print(f"{name} {precision}: {error}")
            continue
        batches = equal_batches(engine)
        bare = sum(batch["input_ids"].size for batch in batches) / best(lambda: list(engine.forward_many(batches)))  # noqa: B023
        reader = ExtractiveReader(model, device="cpu", engine=name, precision=precision)
        reader.warm_up()
        assert reader._reader is not None
        counter = _Counter(reader._reader._engine)
        reader._reader._engine = counter
        seconds = best(lambda: reader.run(question, documents))  # noqa: B023
        tokens = counter.tokens / (RUNS + 1) / seconds
        rate = len(documents) / seconds
        first = first or (bare, rate)
        print(
            f"{name + ' ' + precision:<20}{bare:>14,.0f}{bare / first[0]:>7.2f}{rate:>12.1f}{tokens:>10,.0f}"
            f"{tokens / bare:>9.0%}{rate / first[1]:>7.2f}"
        )


def equal_batches(engine: Engine) -> list[dict[str, Any]]:
    """Batches of windows of equal length, as large as the engine likes them."""
    random = np.random.default_rng(0)
    rows = max(1, engine.batch_tokens // LENGTH)
    batches = []
    for _ in range(max(4, 96 // rows)):
        ids = random.integers(1000, 20000, (rows, LENGTH))
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        batches.append({**inputs, "token_type_ids": np.zeros_like(ids)} if engine.takes_segments else inputs)
    return batches


def measure_embedder(model: str, passages: list[str]) -> None:
    """Print the embedder's figures for each engine, beside sentence-transformers as it comes."""
    from sentence_transformers import SentenceTransformer

    plain = SentenceTransformer(str(resolve_model(model)), device="cpu", local_files_only=True)
    reference = np.asarray(plain.encode(passages, show_progress_bar=False))
    usual = best(lambda: plain.encode(passages, show_progress_bar=False))
    print(f"\n{model}, {len(passages)} passages")
    print(f"{'engine':<34}{'passages/s':>11}{'ratio':>7}{'least cosine':>14}")
    print(f"{'SentenceTransformer.encode':<34}{len(passages) / usual:>11.1f}{1:>7.2f}{1:>14.6f}")
    for precision in ("float32", "bfloat16", "int8"):
        try:
            embedder = PassageEmbedder(model, device="cpu", engine="openvino", precision=precision)
            vectors = embedder.embed(passages)
        except ConfigurationError as error:
            print(f"openvino {precision}: {error}")
            continue
        lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(reference, axis=1)
        cosine = float(((vectors * reference).sum(axis=1) / lengths).min())
        seconds = best(lambda: embedder.embed(passages))  # noqa: B023
        print(f"{'openvino ' + precision:<34}{len(passages) / seconds:>11.1f}{usual / seconds:>7.2f}{cosine:>14.6f}")


if __name__ == "__main__":
    main()
