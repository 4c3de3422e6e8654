"""The extractive reader: reads every passage it is given and quotes the answers."""

import logging
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict
from haystack.dataclasses import ExtractedAnswer
from haystack.utils import ComponentDevice, Secret

from lodestone.components.engines import Engine, checked_engine, checked_precision, make_engine
from lodestone.components.engines.engine import IntArray
from lodestone.components.errors import ConfigurationError
from lodestone.components.models import DEFAULT_READER, load_tokenizer, resolve_model, tokenizer_folder
from lodestone.components.readers.answers import no_answer as no_answer_of
from lodestone.components.readers.answers import to_extracted_answers
from lodestone.components.readers.calibration import CALIBRATION_FILE, Calibration, hash_weights
from lodestone.components.readers.merging import MergedAnswer, Quote, merge
from lodestone.components.readers.spans import Span, best_spans
from lodestone.components.readers.tokens import PairTokenizer, PassageTokens
from lodestone.components.readers.windows import Batch, Window, cut, fill, pack

logger = logging.getLogger(__name__)

_ANSWERS_PER_WINDOW = 20


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
        model_kwargs: dict[str, Any] | None = None,
        engine: str = "auto",
        precision: str = "auto",
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
        :param calibration: A calibration file; None for the one in the model's folder, if there is one.
        :param model_kwargs: Passed on to transformers when the model is loaded, by the torch engine.
        :param engine: What runs the model: "openvino", "torch", or "auto" for the fastest one here.
        :param precision: What it computes in: "float32", "bfloat16", "float16" (GPU), "int8" (after `lodestone
            quantize`), or "auto" for the fastest that keeps the answers.
        :raises ConfigurationError: If a value is out of range.
        """
        self.model = str(model)
        self.tokenizer = tokenizer
        self.device = device.to_torch_str() if isinstance(device, ComponentDevice) else device
        self.token = token
        self.top_k = top_k
        self.score_threshold = score_threshold
        self.max_seq_length = max_seq_length
        self.stride = stride
        self.max_query_length = max_query_length
        self.max_answer_length = max_answer_length
        self.max_batch_size = max_batch_size
        self.answers_per_seq = answers_per_seq
        self.no_answer = no_answer
        self.overlap_threshold = overlap_threshold
        self.context_chars = context_chars
        self.calibration = calibration
        self.model_kwargs = model_kwargs
        self.engine = checked_engine(engine)
        self.precision = checked_precision(precision)
        _at_least(1, top_k=top_k, max_seq_length=max_seq_length, max_query_length=max_query_length)
        _at_least(1, max_answer_length=max_answer_length, max_batch_size=max_batch_size)
        _at_least(1, answers_per_seq=answers_per_seq)
        _at_least(0, stride=stride, context_chars=context_chars)
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._pair: PairTokenizer | None = None
        self._calibration: Calibration | None = None

    def to_dict(self) -> dict[str, Any]:
        """Serialize the parameters as they were given; nothing that this machine chose is written down."""
        chosen = {name: value for name in ("engine", "precision") if (value := getattr(self, name)) != "auto"}
        return default_to_dict(
            self,
            model=self.model,
            tokenizer=self.tokenizer,
            device=self.device,
            token=self.token,
            top_k=self.top_k,
            score_threshold=self.score_threshold,
            max_seq_length=self.max_seq_length,
            stride=self.stride,
            max_query_length=self.max_query_length,
            max_answer_length=self.max_answer_length,
            max_batch_size=self.max_batch_size,
            answers_per_seq=self.answers_per_seq,
            no_answer=self.no_answer,
            overlap_threshold=self.overlap_threshold,
            context_chars=self.context_chars,
            calibration=self.calibration,
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
            if self._engine is not None:
                return
            token = self.token.resolve_value() if self.token is not None else None
            folder = resolve_model(self.model, token=token)
            words = folder if self.tokenizer is None else tokenizer_folder(self.tokenizer, token=token)
            self._pair = PairTokenizer(load_tokenizer(words))
            self._calibration = self._load_calibration(folder)
            self._engine = make_engine(
                folder,
                device=self.device,
                engine=self.engine,
                precision=self.precision,
                model_kwargs=self.model_kwargs,
            )

    @property
    def calibrated(self) -> bool:
        """Whether scores are probabilities; known after `warm_up`."""
        return self._calibration is not None

    @component.output_types(answers=list[ExtractedAnswer])
    def run(
        self,
        query: str,
        documents: list[Document],
        top_k: int | None = None,
        score_threshold: float | None = None,
        no_answer: bool | None = None,
    ) -> dict[str, list[ExtractedAnswer]]:
        """Answer one question from passages.

        :param query: The question.
        :param documents: The passages; one without text is skipped, one given twice is read once.
        :param top_k: The most answers; None for the reader's own.
        :param score_threshold: The lowest score; None for the reader's own.
        :param no_answer: Whether to give "no answer"; None for the reader's own.
        :returns: `answers`, best first, "no answer" at its place among them. `score` is a probability where
            `meta["calibrated"]`, else a logit margin (0 for "no answer"). `document_offset` counts in the passage,
            `context_offset` in `context`, `meta["start"]` and `meta["end"]` in the document's text.
        :raises ConfigurationError: If a parameter is out of range or the model cannot be used.
        """
        answers = self.run_batch([query], [documents], top_k, score_threshold, no_answer)
        return {"answers": answers["answers"][0]}

    def run_batch(
        self,
        queries: list[str],
        documents: list[list[Document]],
        top_k: int | None = None,
        score_threshold: float | None = None,
        no_answer: bool | None = None,
    ) -> dict[str, list[list[ExtractedAnswer]]]:
        """Answer many questions, each from its own passages, in shared batches.

        :param queries: The questions.
        :param documents: For each question its passages.
        :param top_k: As in `run`.
        :param score_threshold: As in `run`.
        :param no_answer: As in `run`.
        :returns: `answers`: for each question what `run` gives.
        :raises ConfigurationError: If there are not as many lists of passages as questions, or as in `run`.
        """
        if len(queries) != len(documents):
            raise ConfigurationError(f"got {len(queries)} queries but {len(documents)} lists of documents")
        _at_least(1, top_k=top_k)
        self.warm_up()
        passages = [_readable(listed) for listed in documents]
        quotes = self._read(queries, passages)
        top_k = self.top_k if top_k is None else top_k
        threshold = self.score_threshold if score_threshold is None else score_threshold
        with_none = self.no_answer if no_answer is None else no_answer
        merged = [merge(found, self.overlap_threshold) for found in quotes]
        return {
            "answers": [
                self._score(query, answers, top_k, threshold, with_none)
                for query, answers in zip(queries, merged, strict=True)
            ]
        }

    def _read(self, queries: Sequence[str], passages: Sequence[Sequence[Document]]) -> list[list[Quote]]:
        assert self._engine is not None
        assert self._pair is not None
        questions = self._question_tokens(queries)
        texts: dict[str, int] = {}
        for listed in passages:
            for document in listed:
                texts.setdefault(document.content or "", len(texts))
        tokens = self._pair.passages(list(texts))
        owners: dict[tuple[int, int], list[Document]] = {}
        for query, listed in enumerate(passages):
            for document in listed:
                owners.setdefault((query, texts[document.content or ""]), []).append(document)

        quotes: list[list[Quote]] = [[] for _ in queries]
        for window, spans in self._forward(self._windows(owners, questions, tokens), questions, tokens):
            for document in owners[window.query, window.passage]:
                found = tokens[window.passage]
                quotes[window.query].extend(_quotes(document, found, spans))
        return quotes

    def _question_tokens(self, queries: Sequence[str]) -> list[list[int]]:
        assert self._pair is not None
        questions = self._pair.questions(list(queries))
        for query, question in zip(queries, questions, strict=True):
            if len(question) > self.max_query_length:
                logger.warning(
                    "The question '%.60s...' has %d tokens; only its first %d are read (max_query_length)",
                    query,
                    len(question),
                    self.max_query_length,
                )
        return [question[: self.max_query_length] for question in questions]

    def _windows(
        self, pairs: Iterable[tuple[int, int]], questions: Sequence[Sequence[int]], tokens: Sequence[PassageTokens]
    ) -> list[Window]:
        assert self._engine is not None
        assert self._pair is not None
        length = min(self.max_seq_length, self._engine.max_length)
        return [
            window
            for query, passage in pairs
            for window in cut(
                query,
                passage,
                len(tokens[passage]),
                question_tokens=len(questions[query]),
                template=self._pair.template,
                length=length,
                stride=self.stride,
            )
        ]

    def _forward(
        self, windows: Sequence[Window], questions: Sequence[Sequence[int]], tokens: Sequence[PassageTokens]
    ) -> Iterable[tuple[Window, list[Span]]]:
        assert self._engine is not None
        assert self._pair is not None
        count = _ANSWERS_PER_WINDOW if self.answers_per_seq is None else self.answers_per_seq
        groups = list(pack(windows, max_tokens=self._engine.batch_tokens, max_windows=self.max_batch_size))
        inputs = (self._inputs(fill(group, questions, tokens, self._pair.template)) for group in groups)
        for group, outputs in zip(groups, self._engine.forward_many(inputs), strict=True):
            spans = best_spans(
                outputs["start_logits"],
                outputs["end_logits"],
                group,
                max_answer_length=self.max_answer_length,
                count=count,
            )
            yield from zip(group, spans, strict=True)

    def _inputs(self, batch: Batch) -> dict[str, IntArray]:
        assert self._engine is not None
        inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        if self._engine.takes_segments:
            inputs["token_type_ids"] = batch.token_type_ids
        return inputs

    def _score(
        self, query: str, merged: list[MergedAnswer], top_k: int, threshold: float | None, with_none: bool
    ) -> list[ExtractedAnswer]:
        margins = [answer.best.margin for answer in merged]
        if self._calibration is None:
            scores, none = margins, 0.0
        else:
            scores, none = self._calibration.distribution(margins)
        answers = to_extracted_answers(
            query, merged[:top_k], scores[:top_k], calibrated=self.calibrated, context_chars=self.context_chars
        )
        if with_none:
            answers.append(no_answer_of(query, none, calibrated=self.calibrated))
        answers.sort(key=lambda answer: -answer.score)
        return [answer for answer in answers if threshold is None or answer.score >= threshold]

    def _load_calibration(self, folder: Path) -> Calibration | None:
        if self.calibration is not None:
            return Calibration.load(Path(self.calibration))
        path = folder / CALIBRATION_FILE
        if not path.exists():
            logger.warning("%s has no calibration: scores are raw logit margins, not probabilities", self.model)
            return None
        calibration = Calibration.load(path)
        if calibration.weights_sha256 not in (None, hash_weights(folder)):
            logger.warning("%s was fitted for other weights and is left aside: scores are raw margins", path)
            return None
        return calibration


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


def _quotes(document: Document, tokens: PassageTokens, spans: Iterable[Span]) -> Iterable[Quote]:
    content = document.content or ""
    for span in spans:
        start, end = int(tokens.starts[span.first]), int(tokens.ends[span.last])
        # Some tokenizers count the space before a word into its first token.
        text = content[start:end]
        start += len(text) - len(text.lstrip())
        end = start + len(text.strip())
        if end > start:
            yield Quote(document, start, end, span.margin)


def _at_least(lowest: int, **values: int | None) -> None:
    for name, value in values.items():
        if value is not None and value < lowest:
            raise ConfigurationError(f"{name} must be at least {lowest}, got {value}")
