"""The int8 model of a reader, made unasked at its first use where the reader is known to stay as good."""

import importlib.util
import json
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lodestone.components.engines import READER, checked_device
from lodestone.components.engines.cache import find_entry, is_writable
from lodestone.components.engines.openvino_engine import best_precision, entry_kind, open_converted
from lodestone.components.engines.quantization import quantize
from lodestone.components.engines.weights import model_digest
from lodestone.components.errors import ConfigurationError
from lodestone.components.readers.tokens import PairTokenizer
from lodestone.components.readers.windows import cut, fill

logger = logging.getLogger(__name__)

QUANTIZATION_FILE = "quantization.json"
# Fractions, as the figures are: 0.003 is 0.3 points of F1.
MOST_F1_LOST = 0.003
ENOUGH_QUESTIONS = 500
SAMPLES = 180
_WINDOW, _STRIDE, _MOST_QUESTION = 384, 128, 64


@dataclass(frozen=True)
class Judgement:
    """What int8 costs a reader, as measured beforehand, and what its int8 model is made from.

    :param f1_lost: F1 in float32 less F1 in int8, 0 to 1.
    :param questions: How many questions it was measured on.
    :param samples: Questions and passages.
    """

    f1_lost: float
    questions: int
    samples: tuple[tuple[str, str], ...]

    @property
    def good(self) -> bool:
        """Whether int8 is close enough to float32 to be used without being asked for."""
        return is_good(self.f1_lost, self.questions)

    @classmethod
    def of(cls, folder: Path) -> "Judgement | None":
        """The judgement that comes with a model.

        :param folder: The reader's folder.
        :returns: What its `quantization.json` says; None where there is none, or it is of other weights.
        :raises ConfigurationError: The file is malformed.
        """
        path = folder / QUANTIZATION_FILE
        if not path.is_file():
            return None
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data["model_sha256"] != model_digest(folder):
                return None
            samples = tuple((str(question), str(passage)) for question, passage in data["samples"])
            return cls(float(data["f1_lost"]), int(data["questions"]), samples)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(f"{path} is malformed: {error!r}; install the model again") from error


def is_good(f1_lost: float, questions: int) -> bool:
    """Whether an int8 model that loses this much, on so many questions, may be used unasked."""
    return questions >= ENOUGH_QUESTIONS and f1_lost <= MOST_F1_LOST


def make_int8_if_good(
    folder: Path,
    pair: PairTokenizer,
    *,
    device: str | None,
    engine: str,
    precision: str,
    model_kwargs: dict[str, Any] | None,
) -> None:
    """Make a reader's int8 model before its first use, where int8 would be chosen if it were there.

    Only for readers that bring a judgement that int8 keeps their answers, and where NNCF is installed; one warning says
    what is done, or that it is not installed. `LODESTONE_QUANTIZE=0` switches it off.

    :param folder: The reader's folder.
    :param pair: Its tokenizer.
    :param device: This and what follows: as for `make_engine`.
    :param engine: As above.
    :param precision: As above.
    :param model_kwargs: As above.
    """
    if precision != "auto" or engine == "torch" or model_kwargs or os.environ.get("LODESTONE_QUANTIZE") == "0":
        return
    if checked_device(device) != "cpu" or find_entry(folder, entry_kind(READER, "int8")) is not None:
        return
    judgement = Judgement.of(folder)
    if judgement is None or not judgement.good or not is_writable():
        return
    if importlib.util.find_spec("nncf") is None:
        if find_entry(folder, entry_kind(READER, "float32")) is None:
            logger.warning(
                "The reader runs in %s; int8 would be faster: pip install nncf (the extra `quantize`)", best_precision()
            )
        return
    logger.warning("Making the reader's int8 model, once, which takes about half a minute (LODESTONE_QUANTIZE=0: not)")
    try:
        _, facts = open_converted(folder, READER, "float32")
        windows = reader_windows(pair, judgement.samples, facts["max_length"], facts["takes_segments"])
        record = {"good": True, "measure": "F1 lost", "after": judgement.f1_lost, "judged_on": judgement.questions}
        quantize(folder, READER, list(windows), record, replace=False)
    except Exception as error:  # the converter and NNCF raise whatever their parts raise; answers come without int8
        logger.warning("The int8 model cannot be made (%s); the reader runs in %s", error, best_precision())


def reader_windows(
    pair: PairTokenizer,
    samples: Sequence[tuple[str, str]],
    max_length: int,
    takes_segments: bool,
    count: int = SAMPLES,
) -> Iterator[dict[str, Any]]:
    """Windows of questions on passages, as a reader sees them: each question on its own passage and on others'.

    :param pair: The reader's tokenizer.
    :param samples: Questions and passages.
    :param max_length: The most tokens that the model takes.
    :param takes_segments: Whether it takes segment ids.
    :param count: How many windows.
    :returns: Inputs of one window each.
    """
    length = min(_WINDOW, max_length)
    asked = [ids[: min(_MOST_QUESTION, length // 3)] for ids in pair.questions([question for question, _ in samples])]
    passages = pair.passages([passage for _, passage in samples])
    made = 0
    for shift in range(len(samples)):
        for query in range(len(samples)):
            passage = (query + shift) % len(samples)
            windows = cut(
                query,
                passage,
                len(passages[passage]),
                question_tokens=len(asked[query]),
                template=pair.template,
                length=length,
                stride=min(_STRIDE, length // 4),
            )
            for window in windows[:1]:
                batch = fill([window], asked, passages, pair.template)
                inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
                yield {**inputs, "token_type_ids": batch.token_type_ids} if takes_segments else inputs
                made += 1
                if made >= count:
                    return
