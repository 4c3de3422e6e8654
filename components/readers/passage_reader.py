"""Questions and passages through the model: everything between text and quotes."""

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from haystack import Document

from lodestone.components.engines import Engine
from lodestone.components.engines.engine import IntArray
from lodestone.components.readers.merging import Quote
from lodestone.components.readers.settings import ReadSettings
from lodestone.components.readers.spans import Span, best_spans
from lodestone.components.readers.token_cache import TokenCache
from lodestone.components.readers.token_file import TokenFile
from lodestone.components.readers.tokens import PairTokenizer, PassageTokens
from lodestone.components.readers.windows import Batch, Window, cut, fill, pack

logger = logging.getLogger(__name__)

# Whatever is asked for: so many cuts of the same words tell how certain the best of them is.
ANSWERS_PER_WINDOW = 20
# How many passages are read before their quotes are merged down: it bounds what is held of a very large call.
_PASSAGES_A_ROUND = 1024


@dataclass
class ReadStatistics:
    """Where the time of one call went.

    :param windows: Windows read.
    :param passages: Different passage texts read.
    :param milliseconds: By stage: `tokenize`, `forward` (waiting for the model), `spans` and `merge`.
    """

    windows: int = 0
    passages: int = 0
    milliseconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time of a block to a stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.milliseconds[stage] += (time.perf_counter() - started) * 1000


class PassageReader:
    """A loaded reader model: its tokenizer, its engine, and the passages it has tokenized. Thread-safe.

    :param pair: Tokenizes questions and passages.
    :param engine: Runs the model.
    :param token_cache: A folder to keep passages' tokens in; None keeps them in memory only.
    """

    def __init__(self, pair: PairTokenizer, engine: Engine, token_cache: Path | None = None) -> None:
        self._pair = pair
        self._engine = engine
        self._disk = None if token_cache is None else TokenFile(token_cache, pair.fingerprint())
        self._cache = TokenCache(pair, disk=self._disk)

    @property
    def precision(self) -> str:
        """What the model computes in."""
        return self._engine.precision

    def forget(self) -> None:
        """Drop the tokens that were kept in memory."""
        self._cache = TokenCache(self._pair, disk=self._disk)

    def read(
        self,
        queries: Sequence[str],
        passages: Sequence[Sequence[Document]],
        settings: ReadSettings,
        statistics: ReadStatistics,
    ) -> Iterator[tuple[int, list[Quote]]]:
        """Read every passage of every question.

        :param queries: The questions.
        :param passages: For each question its passages, each with text.
        :param settings: How to read.
        :param statistics: Counts and times are added to it.
        :returns: Pairs of a question's index and the quotes of one window of one of its passages, the best first, 20 or
            `answers_per_seq` of them, whichever is more; in no particular order.
        """
        questions = self._question_tokens(queries, settings.max_query_length)
        asked: dict[str, list[tuple[int, Document]]] = defaultdict(list)
        for query, listed in enumerate(passages):
            for document in listed:
                asked[document.content or ""].append((query, document))
        texts = list(asked)
        for start in range(0, len(texts), _PASSAGES_A_ROUND):
            part = texts[start : start + _PASSAGES_A_ROUND]
            yield from self._read_round(part, [asked[text] for text in part], questions, settings, statistics)

    def _read_round(
        self,
        texts: list[str],
        asked: list[list[tuple[int, Document]]],
        questions: list[list[int]],
        settings: ReadSettings,
        statistics: ReadStatistics,
    ) -> Iterator[tuple[int, list[Quote]]]:
        with statistics.timed("tokenize"):
            tokens = self._cache.passages(texts)
        owners: dict[tuple[int, int], list[Document]] = defaultdict(list)
        for passage, pairs in enumerate(asked):
            for query, document in pairs:
                owners[query, passage].append(document)
        windows = self._windows(owners, questions, tokens, settings)
        statistics.windows += len(windows)
        statistics.passages += len(texts)
        for window, spans in self._forward(windows, questions, tokens, settings, statistics):
            found = tokens[window.passage]
            for document in owners[window.query, window.passage]:
                yield window.query, list(_quotes(document, found, spans))

    def _question_tokens(self, queries: Sequence[str], longest: int) -> list[list[int]]:
        questions = self._pair.questions(list(queries))
        for query, question in zip(queries, questions, strict=True):
            if len(question) > longest:
                logger.warning(
                    "The question '%.60s...' has %d tokens; only its first %d are read (max_query_length)",
                    query,
                    len(question),
                    longest,
                )
        return [question[:longest] for question in questions]

    def _windows(
        self,
        pairs: Iterable[tuple[int, int]],
        questions: Sequence[Sequence[int]],
        tokens: Sequence[PassageTokens],
        settings: ReadSettings,
    ) -> list[Window]:
        length = min(settings.max_seq_length, self._engine.max_length)
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
                stride=settings.stride,
            )
        ]

    def _forward(
        self,
        windows: Sequence[Window],
        questions: Sequence[Sequence[int]],
        tokens: Sequence[PassageTokens],
        settings: ReadSettings,
        statistics: ReadStatistics,
    ) -> Iterator[tuple[Window, list[Span]]]:
        count = max(ANSWERS_PER_WINDOW, settings.answers_per_seq or 0)
        groups = list(pack(windows, max_tokens=self._engine.batch_tokens, max_windows=settings.max_batch_size))
        inputs = (self._inputs(fill(group, questions, tokens, self._pair.template)) for group in groups)
        outputs = self._engine.forward_many(inputs)
        for group in groups:
            with statistics.timed("forward"):
                logits = next(outputs)
            with statistics.timed("spans"):
                spans = best_spans(
                    logits["start_logits"],
                    logits["end_logits"],
                    group,
                    max_answer_length=settings.max_answer_length,
                    count=count,
                )
            yield from zip(group, spans, strict=True)

    def _inputs(self, batch: Batch) -> dict[str, IntArray]:
        inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        if self._engine.takes_segments:
            inputs["token_type_ids"] = batch.token_type_ids
        return inputs


def _quotes(document: Document, tokens: PassageTokens, spans: Iterable[Span]) -> Iterator[Quote]:
    content = document.content or ""
    for span in spans:
        start, end = int(tokens.starts[span.first]), int(tokens.ends[span.last])
        # Some tokenizers count the space before a word into its first token.
        text = content[start:end]
        start += len(text) - len(text.lstrip())
        end = start + len(text.strip())
        if end > start:
            yield Quote(document, start, end, span.margin, span.logit)
