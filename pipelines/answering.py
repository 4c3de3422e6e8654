"""Questions through a query pipeline: passages retrieved question by question, then read in one batch."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from haystack import Document, Pipeline
from haystack.core.errors import PipelineRuntimeError
from haystack.dataclasses import ExtractedAnswer
from haystack.errors import FilterError

from lodestone.components.errors import ConfigurationError, LodestoneError
from lodestone.pipelines.copies import Copies
from lodestone.pipelines.models import check_embedding_model
from lodestone.pipelines.stages import is_free
from lodestone.pipelines.stores import require_index

Filters = Mapping[str, Any]


@dataclass(frozen=True)
class Question:
    """A question to a pipeline.

    :param text: The question.
    :param id: The asker's own id for it; None for none.
    :param filters: Haystack filters on the passages' metadata; None for none.
    :param top_k: The most answers, or passages of a search; None for what the pipeline says.
    """

    text: str
    id: str | int | None = None
    filters: Filters | None = None
    top_k: int | None = None


@dataclass
class Answered:
    """What a pipeline says to a question.

    :param question: The question.
    :param answers: Quotes, best first, without "no answer".
    :param answered: Whether there being an answer is likelier than there being none, whatever `min_score` left out.
    :param no_answer_score: Probability that there is no answer; where not `calibrated` 0.0, the margin of "no answer".
        None where the reader was told to give no "no answer".
    :param calibrated: Whether scores are probabilities; otherwise they are logit margins over "no answer".
    :param passages: The passages that were read, in the order of retrieval.
    :param timings_ms: Milliseconds by stage: `retrieve`, `read` (of which `tokenize`, `forward`, `spans` and `merge`
        are parts) and `total`; those of a batch are shared out evenly.
    """

    question: Question
    answers: list[ExtractedAnswer]
    answered: bool
    no_answer_score: float | None
    calibrated: bool
    passages: list[Document]
    timings_ms: dict[str, float] = field(default_factory=dict)

    def to_dict(self, *, model: str, index: str | None, copies: Copies | None = None) -> dict[str, Any]:
        """The answer to a question as JSON for programs.

        :param model: Name of the reader model.
        :param index: The index that was asked.
        :param copies: Looks up the copies of documents; None to leave these out.
        """
        return {
            "id": self.question.id,
            "query": self.question.text,
            "answered": self.answered,
            "no_answer_score": self.no_answer_score,
            "calibrated": self.calibrated,
            "answers": [_answer_to_dict(answer, copies) for answer in self.answers],
            "model": model,
            "index": index,
            "timings_ms": {stage: round(spent, 1) for stage, spent in self.timings_ms.items()},
        }


def _answer_to_dict(answer: ExtractedAnswer, copies: Copies | None) -> dict[str, Any]:
    meta = answer.meta
    document = answer.document.meta if answer.document is not None else {}
    return {
        "answer": answer.data,
        "score": answer.score,
        "root": document.get("root"),
        "source": document.get("source"),
        "page": meta.get("answer_page_number"),
        "start": meta.get("start"),
        "end": meta.get("end"),
        "context": answer.context,
        "context_start": meta.get("context_start"),
        "context_end": meta.get("context_end"),
        "headings": document.get("headings", []),
        "evidence": [_with_copies(each, copies) for each in meta.get("evidence", [])],
    }


def _with_copies(evidence: dict[str, Any], copies: Copies | None) -> dict[str, Any]:
    found = [] if copies is None else copies.of(evidence)
    return {**evidence, "copies": found} if found else evidence


class QueryPipeline:
    """A query pipeline, cut before its reader so that many questions can be read in one batch.

    :param pipeline: A pipeline that takes a `query` (or `text`) and ends in a reader: a component with the inputs
        `query` and `documents` and the output `answers`. It is taken apart and must not be used any more.
    :raises ConfigurationError: If it has another shape, or its index was made with another embedding model.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        readers = [name for name, outputs in pipeline.outputs().items() if "answers" in outputs]
        if len(readers) != 1:
            raise ConfigurationError(
                f"a query pipeline ends in one reader that gives `answers`, this has {len(readers)}"
            )
        edges = [
            (sender, data["from_socket"].name)
            for sender, _, data in pipeline.graph.in_edges(readers[0], data=True)
            if data["to_socket"].name == "documents"
        ]
        if len(edges) != 1:
            raise ConfigurationError(f"one component must send `documents` to {readers[0]!r}, {len(edges)} do")
        self._exit = edges[0]
        self.reader: Any = pipeline.remove_component(readers[0])
        self._pipeline = pipeline
        components = [pipeline.get_component(name) for name in pipeline.graph.nodes]
        stores = [component.document_store for component in components if hasattr(component, "document_store")]
        self.store: Any = stores[0] if stores else None
        for store in stores:
            require_index(store, filled=True)
            for component in components:
                check_embedding_model(store, component)

    @property
    def model(self) -> str:
        """Name of the reader model."""
        return str(getattr(self.reader, "model", type(self.reader).__name__))

    @property
    def index(self) -> str | None:
        """The folder that is asked, or None for a store without one."""
        return str(self.store.path) if hasattr(self.store, "path") else None

    def copies(self) -> Copies:
        """Looks up the copies of the documents that answers and passages are from."""
        return Copies(self.store)

    def warm_up(self) -> None:
        """Load every model of the pipeline; asking does it too."""
        self._pipeline.warm_up()
        self.reader.warm_up()

    def search(self, question: Question) -> list[Document]:
        """Passages for a question, best first, unread.

        :param question: The question; `top_k` counts passages here.
        :raises ConfigurationError: If the question is empty or `top_k` below 1.
        """
        return self._retrieve(question, question.top_k)

    def ask(self, questions: Sequence[Question], *, min_score: float | None = None) -> list[Answered]:
        """Answer questions.

        :param questions: The questions.
        :param min_score: Leave out answers that are less probable; None keeps all.
        :returns: What the pipeline says to each.
        :raises ConfigurationError: If a question is empty or a parameter out of range.
        """
        for question in questions:
            _check(question)
        started = time.perf_counter()
        passages = [self._retrieve(question, None) for question in questions]
        retrieved = time.perf_counter()
        answers, stages = self._read(questions, passages)
        read = time.perf_counter()
        if min_score is not None:
            _check_calibrated(answers, self.model)
        share = 1000 / max(len(questions), 1)
        timings = {"retrieve": (retrieved - started) * share, "read": (read - retrieved) * share}
        timings |= {stage: spent / max(len(questions), 1) for stage, spent in stages.items()}
        timings["total"] = (read - started) * share
        return [
            _answered(question, found, listed, dict(timings), min_score)
            for question, found, listed in zip(questions, answers, passages, strict=True)
        ]

    def _retrieve(self, question: Question, top_k: int | None) -> list[Document]:
        _check(question)
        name, socket = self._exit
        given: dict[str, dict[str, Any]] = {}
        for component in self._pipeline.graph.nodes:
            free = {key for key in ("query", "text", "filters", "top_k") if is_free(self._pipeline, component, key)}
            inputs: dict[str, Any] = dict.fromkeys(free & {"query", "text"}, question.text)
            if question.filters is not None and "filters" in free:
                inputs["filters"] = dict(question.filters)
            if top_k is not None and component == name and "top_k" in free:
                inputs["top_k"] = top_k
            if inputs:
                given[component] = inputs
        try:
            outputs = self._pipeline.run(given)
        except PipelineRuntimeError as error:
            # Haystack wraps what a component raises; a wrong filter or parameter is for the asker to read.
            if isinstance(error.__cause__, LodestoneError):
                raise error.__cause__ from error
            if isinstance(error.__cause__, FilterError):
                raise ConfigurationError(f"wrong filter: {error.__cause__}") from error
            raise
        documents: list[Document] = outputs.get(name, {}).get(socket, [])
        return documents

    def _read(
        self, questions: Sequence[Question], passages: list[list[Document]]
    ) -> tuple[list[list[ExtractedAnswer]], dict[str, float]]:
        """Read all questions that want equally many answers together; with it, where the reader spent its time."""
        answers: list[list[ExtractedAnswer]] = [[] for _ in questions]
        stages: Counter[str] = Counter()
        for top_k in {question.top_k for question in questions}:
            group = [number for number, question in enumerate(questions) if question.top_k == top_k]
            queries = [questions[number].text for number in group]
            found, spent = self._read_group(queries, [passages[number] for number in group], top_k)
            stages.update(spent)
            for number, listed in zip(group, found, strict=True):
                answers[number] = listed
        return answers, dict(stages)

    def _read_group(
        self, queries: list[str], passages: list[list[Document]], top_k: int | None
    ) -> tuple[list[list[ExtractedAnswer]], dict[str, float]]:
        if hasattr(self.reader, "run_batch"):
            batch = self.reader.run_batch(queries, passages, top_k=top_k)
            return batch["answers"], batch["meta"]["timings_ms"]
        answers = [
            self.reader.run(query=query, documents=listed, top_k=top_k)["answers"]
            for query, listed in zip(queries, passages, strict=True)
        ]
        return answers, {}


def check_min_score(min_score: float | None) -> None:
    """Refuse a lowest score that is no probability.

    :param min_score: The score; None passes.
    :raises ConfigurationError: If it is not between 0 and 1.
    """
    if min_score is not None and not 0 <= min_score <= 1:
        raise ConfigurationError(f"--min-score is a probability between 0 and 1, got {min_score}")


def _check_calibrated(answers: Sequence[Sequence[ExtractedAnswer]], model: str) -> None:
    if not all(answer.meta.get("calibrated", False) for listed in answers for answer in listed):
        raise ConfigurationError(
            f"--min-score needs probabilities, but {model} is uncalibrated: its scores are raw margins; leave "
            "--min-score out, or use a calibrated reader"
        )


def _check(question: Question) -> None:
    try:
        question.text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ConfigurationError("the question is not valid UTF-8") from error
    if not question.text.strip():
        raise ConfigurationError('the question is empty; ask something, such as "Who wrote the report?"')
    if question.top_k is not None and question.top_k < 1:
        raise ConfigurationError(f"top_k must be at least 1, got {question.top_k}")


def _answered(
    question: Question,
    answers: list[ExtractedAnswer],
    passages: list[Document],
    timings: dict[str, float],
    min_score: float | None,
) -> Answered:
    none = next((answer.score for answer in answers if answer.data is None), None)
    quotes = [answer for answer in answers if answer.data is not None]
    return Answered(
        question=question,
        answers=[quote for quote in quotes if min_score is None or quote.score >= min_score],
        answered=bool(answers) and answers[0].data is not None,
        no_answer_score=none,
        calibrated=bool(answers) and all(answer.meta.get("calibrated", False) for answer in answers),
        passages=passages,
        timings_ms=timings,
    )
