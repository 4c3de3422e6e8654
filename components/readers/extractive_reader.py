"""The extractive reader: reads every passage it is given and quotes the answers."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict
from haystack.dataclasses import ExtractedAnswer
from haystack.utils import ComponentDevice, Secret

from lodestone.components.engines import checked_engine, checked_precision, make_engine
from lodestone.components.errors import ConfigurationError
from lodestone.components.models import DEFAULT_READER, load_tokenizer, resolve_model, tokenizer_folder
from lodestone.components.readers.calibration import (
    CALIBRATION_FILE,
    Calibration,
    cached_calibration,
    hash_weights,
)
from lodestone.components.readers.evidence import Evidence, gather_evidence
from lodestone.components.readers.int8 import make_int8_if_good
from lodestone.components.readers.merging import Merger, Quote
from lodestone.components.readers.passage_reader import PassageReader, ReadStatistics
from lodestone.components.readers.scoring import CalibratedScoring, FactorScoring, MarginScoring, Scoring
from lodestone.components.readers.settings import ReadSettings
from lodestone.components.readers.tokens import PairTokenizer

logger = logging.getLogger(__name__)


@component
class ExtractiveReader:
    """Finds the answer to a question as exact quotes in passages, each with one comparable score.

    Every window of every passage is read. A span is scored by how far its start and end logits lie above the window's
    null score, the model's own vote for "not in here" (Devlin et al. 2019), which makes spans of different passages
    comparable. A calibration turns these margins into probabilities; without one the raw margins are given and
    `meta["calibrated"]` is False. Answers that are the same quote are merged and keep their places as evidence.

    ### Usage example

    ```python
    from haystack import Document
    from lodestone import ExtractiveReader

    reader = ExtractiveReader()
    passage = Document(content="The lighthouse was built by Ida Holm in 1911.")
    result = reader.run("Who built the lighthouse?", [passage])
    print(result["answers"][0].data)  # Ida Holm
    ```
    """

    def __init__(
        self,
        model: str = DEFAULT_READER,
        tokenizer: str | None = None,
        device: str | ComponentDevice | None = None,
        token: Secret | None = Secret.from_env_var(["HF_API_TOKEN", "HF_TOKEN"], strict=False),
        top_k: int = 20,
        score_threshold: float | None = None,
        max_seq_length: int = 384,
        stride: int = 128,
        max_query_length: int = 64,
        max_answer_length: int = 30,
        max_batch_size: int | None = None,
        answers_per_seq: int | None = None,
        no_answer: bool = True,
        overlap_threshold: float | None = 0.01,
        context_chars: int = 150,
        calibration: str | None = None,
        calibration_factor: float | None = None,
        model_kwargs: dict[str, Any] | None = None,
        engine: str = "auto",
        precision: str = "auto",
        token_cache: str | None = None,
    ) -> None:
        """Set the reader up; nothing is loaded before `warm_up`.

        :param model: The bundled reader, a model folder, or the name of an extractive model on the hub.
        :param tokenizer: Folder or hub name of the tokenizer, where it is not the model's own.
        :param device: Torch device such as "cpu" or "cuda:0"; None for a GPU where there is one.
        :param token: Hub token for private models.
        :param top_k: The most answers of a question, "no answer" not counted.
        :param score_threshold: Leave out answers, "no answer" among them, that score less; None keeps all.
        :param max_seq_length: Tokens of a window, question and special tokens counted; cut to what the model takes.
        :param stride: Passage tokens that neighbouring windows share.
        :param max_query_length: Tokens of the question that are read; what is over is cut and a warning says so.
        :param max_answer_length: The most tokens of an answer.
        :param max_batch_size: The most windows in a forward pass; None leaves it to the token budget.
        :param answers_per_seq: How many spans of each window are considered; None for 20.
        :param no_answer: Whether to give "no answer", with its score, as one of the answers (`data` is None).
        :param overlap_threshold: Of two quotes of one document that share more than this fraction of either one's
            characters only the better is an answer; None keeps all.
        :param context_chars: Characters of context to give on each side of an answer.
        :param calibration: A calibration file; None for the model's own: what `lodestone calibrate` kept here for its
            weights, else the one in its folder.
        :param calibration_factor: Score as `TransformersExtractiveReader` does, by `sigmoid(factor * logits)`, which is
            no calibrated probability; None scores as this class says.
        :param model_kwargs: Passed on to transformers when the model is loaded, by the torch engine.
        :param engine: What runs the model: "openvino", "torch", or "auto" for the fastest one here.
        :param precision: What it computes in: "float32", "bfloat16", "float16" (GPU), "int8" (after `lodestone
            quantize`), or "auto" for the fastest that keeps the answers.
        :param token_cache: A folder that keeps passages' tokens for later processes; None keeps them in memory only.
        :raises ConfigurationError: If a value is out of range.
        """
        self.model = str(model)
        self.tokenizer = tokenizer
        self.device = device.to_torch_str() if isinstance(device, ComponentDevice) else device
        self.token = token
        self.settings = ReadSettings(
            top_k=top_k,
            score_threshold=score_threshold,
            max_seq_length=max_seq_length,
            stride=stride,
            max_query_length=max_query_length,
            max_answer_length=max_answer_length,
            max_batch_size=max_batch_size,
            answers_per_seq=answers_per_seq,
            no_answer=no_answer,
            overlap_threshold=overlap_threshold,
            context_chars=context_chars,
        )
        self.calibration = calibration
        self.calibration_factor = calibration_factor
        self.model_kwargs = model_kwargs
        self.engine = checked_engine(engine)
        self.precision = checked_precision(precision)
        self.token_cache = token_cache
        self._lock = threading.Lock()
        self._reader: PassageReader | None = None
        self._scoring: Scoring | None = None

    def to_dict(self) -> dict[str, Any]:
        """Serialize the parameters as they were given; nothing that this machine chose is written down."""
        chosen = {name: value for name in ("engine", "precision") if (value := getattr(self, name)) != "auto"}
        if self.token_cache is not None:
            chosen["token_cache"] = self.token_cache
        return default_to_dict(
            self,
            model=self.model,
            tokenizer=self.tokenizer,
            device=self.device,
            token=self.token,
            **asdict(self.settings),
            calibration=self.calibration,
            calibration_factor=self.calibration_factor,
            model_kwargs=self.model_kwargs,
            **chosen,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "ExtractiveReader":
        """Build a reader from what `to_dict` gave."""
        return default_from_dict(cls, data)

    def warm_up(self) -> None:
        """Load the model once, however many threads ask for it.

        :raises ConfigurationError: If the model, its tokenizer or its calibration cannot be used.
        """
        with self._lock:
            if self._reader is not None:
                return
            token = self.token.resolve_value() if self.token is not None else None
            folder = resolve_model(self.model, token=token)
            words = folder if self.tokenizer is None else tokenizer_folder(self.tokenizer, token=token)
            pair = PairTokenizer(load_tokenizer(words))
            self._scoring = self._choose_scoring(folder)
            chosen: dict[str, Any] = {
                "device": self.device,
                "engine": self.engine,
                "precision": self.precision,
                "model_kwargs": self.model_kwargs,
            }
            make_int8_if_good(folder, pair, **chosen)
            engine = make_engine(folder, **chosen)
            kept = Path(self.token_cache).expanduser() if self.token_cache is not None else None
            self._reader = PassageReader(pair, engine, kept)

    def forget_passages(self) -> None:
        """Drop the tokens of the passages that were read, to free their memory or to measure without them."""
        if self._reader is not None:
            self._reader.forget()

    @property
    def calibrated(self) -> bool:
        """Whether scores are probabilities; known after `warm_up`."""
        return self._scoring is not None and self._scoring.calibrated

    @property
    def fitted_calibration(self) -> Calibration | None:
        """What turns margins into probabilities; None where scores are none. Loads the model if need be."""
        self.warm_up()
        return self._scoring.calibration if isinstance(self._scoring, CalibratedScoring) else None

    @property
    def used_precision(self) -> str:
        """The precision that the model runs in, which `"auto"` leaves to the machine. Loads the model if need be."""
        self.warm_up()
        assert self._reader is not None
        return self._reader.precision

    @component.output_types(answers=list[ExtractedAnswer], meta=dict[str, Any])
    def run(
        self,
        query: str,
        documents: list[Document],
        top_k: int | None = None,
        score_threshold: float | None = None,
        max_seq_length: int | None = None,
        stride: int | None = None,
        max_batch_size: int | None = None,
        answers_per_seq: int | None = None,
        no_answer: bool | None = None,
        overlap_threshold: float | None = None,
    ) -> dict[str, Any]:
        """Answer one question from passages.

        :param query: The question.
        :param documents: The passages; one without text is skipped, one given twice is read once.
        :param top_k: This and what follows: as in `__init__`; None for what was given there.
        :param score_threshold: As above.
        :param max_seq_length: As above.
        :param stride: As above.
        :param max_batch_size: As above.
        :param answers_per_seq: As above.
        :param no_answer: As above.
        :param overlap_threshold: As above.
        :returns: `answers`, best first. `score` is a probability where `meta["calibrated"]`, else a logit margin (0 for
            "no answer"). "No answer" has its place by its score, but is first where its probability is above one half
            and only there. `document_offset` counts in the passage,
            `context_offset` in `context`, `meta["start"]` and `meta["end"]` in the document's text.
            `meta`: `windows` and `passages` read, and `timings_ms` by stage.
        :raises ConfigurationError: If a parameter is out of range or the model cannot be used.
        """
        settings = self.settings.given(
            top_k=top_k,
            score_threshold=score_threshold,
            max_seq_length=max_seq_length,
            stride=stride,
            max_batch_size=max_batch_size,
            answers_per_seq=answers_per_seq,
            no_answer=no_answer,
            overlap_threshold=overlap_threshold,
        )
        answers, meta = self._answer([query], [documents], settings)
        return {"answers": answers[0], "meta": meta}

    @component.output_types(answers=list[ExtractedAnswer], meta=dict[str, Any])
    async def run_async(
        self,
        query: str,
        documents: list[Document],
        top_k: int | None = None,
        score_threshold: float | None = None,
        max_seq_length: int | None = None,
        stride: int | None = None,
        max_batch_size: int | None = None,
        answers_per_seq: int | None = None,
        no_answer: bool | None = None,
        overlap_threshold: float | None = None,
    ) -> dict[str, Any]:
        """`run` in a thread of its own, so that an event loop goes on meanwhile."""
        return await asyncio.to_thread(
            self.run,
            query,
            documents,
            top_k,
            score_threshold,
            max_seq_length,
            stride,
            max_batch_size,
            answers_per_seq,
            no_answer,
            overlap_threshold,
        )

    def run_batch(
        self,
        queries: list[str],
        documents_per_query: list[list[Document]],
        top_k: int | None = None,
        score_threshold: float | None = None,
        no_answer: bool | None = None,
    ) -> dict[str, Any]:
        """Answer many questions, each from its own passages, in shared batches.

        :param queries: The questions.
        :param documents_per_query: For each question its passages.
        :param top_k: As in `run`.
        :param score_threshold: As in `run`.
        :param no_answer: As in `run`.
        :returns: `answers`: for each question what `run` gives; `meta` of the whole call.
        :raises ConfigurationError: If there are not as many lists of passages as questions, or as in `run`.
        """
        if len(queries) != len(documents_per_query):
            raise ConfigurationError(f"got {len(queries)} queries but {len(documents_per_query)} lists of documents")
        settings = self.settings.given(top_k=top_k, score_threshold=score_threshold, no_answer=no_answer)
        answers, meta = self._answer(queries, documents_per_query, settings)
        return {"answers": answers, "meta": meta}

    def read_windows(
        self, queries: list[str], documents_per_query: list[list[Document]]
    ) -> Iterator[tuple[int, list[Quote]]]:
        """Read passages as `run_batch` does, and give all that was seen before anything is merged or scored.

        :param queries: The questions.
        :param documents_per_query: For each question its passages.
        :returns: Pairs of a question's index and the quotes of one window, the best first, in no particular order.
        :raises ConfigurationError: As in `run_batch`.
        """
        self.warm_up()
        assert self._reader is not None
        passages = [_readable(listed) for listed in documents_per_query]
        return self._reader.read(queries, passages, self.settings, ReadStatistics())

    def gather_evidence(self, queries: list[str], documents_per_query: list[list[Document]]) -> list[Evidence]:
        """Read passages as `run_batch` does, and give what probabilities are computed from, to fit a calibration on.

        :param queries: The questions.
        :param documents_per_query: For each question its passages, in the order of their retrieval.
        :returns: For each question the features of its answers.
        :raises ConfigurationError: As in `run_batch`.
        """
        self.warm_up()
        passages = [_readable(listed) for listed in documents_per_query]
        mergers = self._merge(queries, passages, self.settings, ReadStatistics(), lambda quote: quote.margin)
        return [
            gather_evidence(query, listed, merger.merged())
            for query, listed, merger in zip(queries, passages, mergers, strict=True)
        ]

    def _answer(
        self, queries: list[str], documents: list[list[Document]], settings: ReadSettings
    ) -> tuple[list[list[ExtractedAnswer]], dict[str, Any]]:
        self.warm_up()
        assert self._reader is not None
        assert self._scoring is not None
        statistics = ReadStatistics()
        passages = [_readable(listed) for listed in documents]
        mergers = self._merge(queries, passages, settings, statistics, self._scoring.rank)
        with statistics.timed("merge"):
            answers = [
                self._scoring.answers(query, listed, merger.merged(), settings)
                for query, listed, merger in zip(queries, passages, mergers, strict=True)
            ]
        timings = {stage: round(spent, 2) for stage, spent in statistics.milliseconds.items()}
        return answers, {"windows": statistics.windows, "passages": statistics.passages, "timings_ms": timings}

    def _merge(
        self,
        queries: list[str],
        passages: list[list[Document]],
        settings: ReadSettings,
        statistics: ReadStatistics,
        rank: Callable[[Quote], float],
    ) -> list[Merger]:
        assert self._reader is not None
        mergers = [Merger(settings.overlap_threshold, rank) for _ in queries]
        for query, quotes in self._reader.read(queries, passages, settings, statistics):
            with statistics.timed("merge"):
                mergers[query].add(quotes, settings.answers_per_seq)
        return mergers

    def _choose_scoring(self, folder: Path) -> Scoring:
        if self.calibration_factor is not None:
            return FactorScoring(self.calibration_factor)
        if self.calibration is not None:
            return CalibratedScoring(Calibration.load(Path(self.calibration)))
        weights = hash_weights(folder)
        for path in (cached_calibration(weights), folder / CALIBRATION_FILE):
            if not path.exists():
                continue
            calibration = Calibration.load(path)
            if calibration.weights_sha256 in (None, weights):
                return CalibratedScoring(calibration)
            logger.warning("%s was fitted for other weights and is left aside", path)
        logger.warning(
            "%s has no calibration: scores are raw logit margins, not probabilities; `lodestone calibrate` makes one",
            self.model,
        )
        return MarginScoring()


def _readable(documents: Sequence[Document]) -> list[Document]:
    """Passages with text, each once."""
    read: dict[str, Document] = {}
    empty = 0
    for document in documents:
        if document.content is None or not document.content.strip():
            empty += 1
        elif document.id not in read:
            read[document.id] = document
    if empty:
        logger.warning("%d of %d passages hold no text and were skipped", empty, len(documents))
    return list(read.values())
