"""Making int8 models from example texts, and judging whether they are as good as the model in float32."""

import json
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from haystack import Document

from lodestone.components.embedders.engine_model import EngineModel
from lodestone.components.embedders.sentence_folder import SentenceFolder, UnknownModuleError, read_folder
from lodestone.components.engines import ENCODER, READER, Engine, Task, checked_device, make_engine
from lodestone.components.engines.cache import amend_entry
from lodestone.components.engines.conversion import ConversionError
from lodestone.components.engines.engine import Inputs, Outputs
from lodestone.components.engines.openvino_engine import entry_kind
from lodestone.components.engines.quantization import quantize
from lodestone.components.errors import ConfigurationError
from lodestone.components.models import load_tokenizer, resolve_model
from lodestone.components.readers import ExtractiveReader
from lodestone.components.readers.int8 import (
    ENOUGH_QUESTIONS,
    MOST_F1_LOST,
    SAMPLES,
    Judgement,
    is_good,
    reader_windows,
)
from lodestone.components.readers.tokens import PairTokenizer
from lodestone.evaluation.squad import Question, f1, read_squad

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
_PASSAGE_CHARS = 1000
_READABLE = {".md", ".rst", ".txt"}


@dataclass(frozen=True)
class Quantized:
    """How good an int8 model is.

    :param measure: `"F1"` of a reader, `"mean cosine"` to float32 of an embedder.
    :param before: The measure in float32, 0 to 1.
    :param after: The measure in int8, 0 to 1.
    :param count: Questions or passages that it was measured on.
    :param good: Whether it is close enough to be used without being asked for.
    :param entry: Where it was put.
    """

    measure: str
    before: float
    after: float
    count: int
    good: bool
    entry: Path

    @property
    def verdict(self) -> str:
        """What becomes of it, in words."""
        if self.good:
            return "it is used from now on"
        asked = 'it is used only where precision "int8" is asked for'
        if self.measure != "F1":
            return asked
        # What so few texts lose says nothing, and differs from processor to processor.
        if self.count < ENOUGH_QUESTIONS:
            return f"too few to judge by (--data takes a file; {ENOUGH_QUESTIONS} questions are enough); {asked}"
        return f"it loses more than {100 * MOST_F1_LOST:.1f} points of F1; {asked}"


def quantize_model(name: str, data: Path | None = None, questions: int = 1500) -> Quantized:
    """Make the int8 version of a reader or of an embedder and judge it.

    :param name: The model's name or folder, as for `resolve_model`.
    :param data: A file in SQuAD format to judge on, and to take the samples from where there are no examples; None for
        the examples of a checkout.
    :param questions: The most questions, or passages, to judge on.
    :returns: How good it is; the figures are recorded with the model.
    :raises ConfigurationError: There is nothing to make samples of, or the model cannot be run by OpenVINO.
    """
    checked_device("cpu")
    folder = resolve_model(name)
    examples = list(example_questions()) if EXAMPLES.is_dir() else []
    given = list(read_squad(data)) if data is not None else []
    if data is not None and not given:
        raise ConfigurationError(f"{data} holds no questions; name a file in SQuAD format that does")
    if not examples and not given:
        raise ConfigurationError("there are no examples here to quantize with; name a file in SQuAD format (--data)")
    random.Random(0).shuffle(given)
    judged = given[:questions] if given else examples
    # What the model is judged on is no sample, as far as there is anything else.
    samples = examples or given[questions:] or given
    try:
        if (folder / "modules.json").is_file():
            return _quantize_embedder(folder, samples, judged)
        return _quantize_reader(folder, samples, judged)
    except ConversionError as error:
        raise ConfigurationError(f"{name} cannot be run by OpenVINO: {error}") from error


def example_questions(examples: Path = EXAMPLES) -> Iterator[Question]:
    """The example questions, each with the part of its file that answers it, or with its beginning.

    :param examples: The folder of the examples.
    :returns: The questions on files of plain text.
    """
    for line in (examples / "questions.jsonl").read_text(encoding="utf-8").splitlines():
        entry: dict[str, Any] = json.loads(line)
        file = examples / "corpus" / (entry.get("file") or "")
        texts = [file] if file.is_file() else sorted((examples / "corpus").rglob("*.md"))[:1]
        if texts[0].suffix not in _READABLE:
            continue
        passages = _passages(texts[0].read_text(encoding="utf-8"))
        answers = tuple(entry.get("answers") or ())
        holds = [passage for passage in passages if any(answer in passage for answer in answers)]
        yield Question(entry["id"], entry["question"], (holds or passages)[0], answers if holds else ())


def _passages(text: str) -> list[str]:
    """A text in parts of whole paragraphs of about 1,000 characters."""
    parts = [""]
    for paragraph in re.split(r"\n\s*\n", text):
        if parts[-1] and len(parts[-1]) + len(paragraph) > _PASSAGE_CHARS:
            parts.append("")
        parts[-1] = f"{parts[-1]}\n\n{paragraph}".strip()
    return parts


def _quantize_reader(folder: Path, samples: Sequence[Question], judged: Sequence[Question]) -> Quantized:
    engine = make_engine(folder, READER, device="cpu", engine="openvino", precision="float32")
    pair = PairTokenizer(load_tokenizer(folder))
    texts = [(question.text, question.context) for question in samples]
    entry = quantize(folder, READER, list(reader_windows(pair, texts, engine.max_length, engine.takes_segments)))
    before, after = (_reader_f1(folder, precision, judged) for precision in ("float32", "int8"))
    # A few dozen example questions cannot show a loss of a fraction of a point; what came with the model can.
    known = Judgement.of(folder) if len(judged) < ENOUGH_QUESTIONS else None
    good = known.good if known is not None else is_good(before - after, len(judged))
    result = Quantized("F1", before, after, len(judged), good, entry)
    return _recorded(folder, READER, result)


def _reader_f1(folder: Path, precision: str, questions: Sequence[Question]) -> float:
    reader = ExtractiveReader(str(folder), device="cpu", engine="openvino", precision=precision)
    scores = []
    for start in range(0, len(questions), 100):
        block = questions[start : start + 100]
        passages = [[Document(content=question.context)] for question in block]
        answers = reader.run_batch([question.text for question in block], passages, top_k=1)["answers"]
        for question, found in zip(block, answers, strict=True):
            scores.append(f1((found[0].data if found else None) or "", question.answers))
    return float(np.mean(scores))


class _Recorder:
    """An engine that keeps what it was given."""

    def __init__(self, engine: Engine) -> None:
        self.max_length, self.takes_segments = engine.max_length, engine.takes_segments
        self.device, self.precision, self.batch_tokens = engine.device, engine.precision, 1
        self.given: list[Inputs] = []
        self._engine = engine

    def forward(self, inputs: Inputs) -> Outputs:
        self.given.append(inputs)
        return self._engine.forward(inputs)

    def forward_many(self, batches: Iterable[Inputs]) -> Iterator[Outputs]:
        return map(self.forward, batches)


def _quantize_embedder(folder: Path, samples: Sequence[Question], judged: Sequence[Question]) -> Quantized:
    try:
        parts = read_folder(folder)
    except UnknownModuleError as error:
        raise ConversionError(str(error)) from error
    engine = make_engine(parts.encoder, ENCODER, device="cpu", engine="openvino", precision="float32")
    recorder = _Recorder(engine)
    model = EngineModel(folder, parts, recorder)
    recorder.given.clear()
    texts = list(dict.fromkeys(question.context for question in samples))
    model.embed(texts[: SAMPLES * 2 // 3], query=False)
    model.embed([question.text for question in samples][: SAMPLES - len(recorder.given)], query=True)
    entry = quantize(parts.encoder, ENCODER, recorder.given)
    passages = list(dict.fromkeys(question.context for question in judged))
    cosine = _cosine(folder, parts, engine, passages)
    # Never used unasked: the vectors of an index and of its questions must not change with what a cache holds.
    result = Quantized("mean cosine", 1.0, cosine, len(passages), False, entry)
    return _recorded(parts.encoder, ENCODER, result)


def _cosine(folder: Path, parts: SentenceFolder, engine: Engine, passages: Sequence[str]) -> float:
    quantized = make_engine(parts.encoder, ENCODER, device="cpu", engine="openvino", precision="int8")
    one, other = (EngineModel(folder, parts, each).embed(passages, query=False) for each in (engine, quantized))
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(np.mean((one * other).sum(axis=1) / np.maximum(lengths, 1e-12)))


def _recorded(folder: Path, task: Task, result: Quantized) -> Quantized:
    amend_entry(
        folder,
        entry_kind(task, "int8"),
        measure=result.measure,
        before=result.before,
        after=result.after,
        judged_on=result.count,
        good=result.good,
    )
    return result
