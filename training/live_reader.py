"""The model that is being trained, read with as our reader reads, and judged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
from haystack import Document

from lodestone.components.engines.engine import Inputs, Outputs
from lodestone.components.engines.independent import independent_forward
from lodestone.components.engines.loading import max_length, takes_segments
from lodestone.components.readers.passage_reader import PassageReader, ReadStatistics
from lodestone.components.readers.settings import ReadSettings
from lodestone.components.readers.tokens import PairTokenizer
from lodestone.evaluation.squad import Question
from lodestone.evaluation.squad_metrics import squad_metrics
from lodestone.training.recipe import Evaluation, Windows

_BATCH_TOKENS = 4096
_ROUND = 256
_KEPT = ("exact", "f1", "HasAns_exact", "HasAns_f1", "NoAns_exact", "best_exact", "best_f1", "best_f1_thresh")


class LiveEngine:
    """An engine over a model in memory, as it is at the moment.

    :param model: The model of transformers.
    :param device: Where it is.
    :param autocast: The type that it computes in, "bfloat16" or "float16"; None for its own.
    """

    def __init__(self, model: Any, device: str, autocast: str | None = None) -> None:
        self.max_length = max_length(model.config)
        self.takes_segments = takes_segments(model)
        self.device = device
        self.precision = autocast or "float32"
        self.batch_tokens = _BATCH_TOKENS
        self._model = model
        self._autocast = autocast

    def forward(self, inputs: Inputs) -> Outputs:
        """Run one batch: see `Engine.forward`."""
        import torch

        kind = torch.device(self.device).type
        cast = torch.autocast(kind, getattr(torch, self._autocast)) if self._autocast else nullcontext()
        with torch.no_grad(), cast:
            tensors = {name: torch.from_numpy(array).to(self.device) for name, array in inputs.items()}
            found = independent_forward(self._model)(**tensors)
        return {
            name: found[name].float().cpu().numpy().astype(np.float32, copy=False)
            for name in ("start_logits", "end_logits")
        }

    def forward_many(self, batches: Iterable[Inputs]) -> Iterator[Outputs]:
        """Run many batches: see `Engine.forward_many`."""
        return map(self.forward, batches)


def read_settings(windows: Windows, batch_size: int | None) -> ReadSettings:
    """How the reader is to read what was trained with these windows."""
    return ReadSettings(
        top_k=1,
        score_threshold=None,
        max_seq_length=windows.max_seq_length,
        stride=windows.stride,
        max_query_length=windows.max_query_length,
        max_answer_length=windows.max_answer_length,
        max_batch_size=batch_size,
        answers_per_seq=None,
        no_answer=True,
        overlap_threshold=None,
        context_chars=0,
    )


def predict(
    engine: LiveEngine, pair: PairTokenizer, questions: Sequence[Question], settings: ReadSettings
) -> list[tuple[str, float]]:
    """The best quote of each question in its paragraph, and the probability that there is none.

    :param engine: Runs the model.
    :param pair: Its tokenizer.
    :param questions: The questions.
    :param settings: How to read.
    :returns: For each question its best quote, "" where nothing could be read, and the logistic function of how far
        the quote lies below the model's vote for "not in here": 0.5 where they are level.
    """
    reader = PassageReader(pair, engine)
    found: list[tuple[str, float]] = []
    for start in range(0, len(questions), _ROUND):
        part = questions[start : start + _ROUND]
        best: list[tuple[float, str]] = [(-np.inf, "")] * len(part)
        passages = [[Document(content=question.context)] for question in part]
        for query, quotes in reader.read([each.text for each in part], passages, settings, ReadStatistics()):
            for quote in quotes[:1]:
                best[query] = max(best[query], (quote.margin, quote.text), key=lambda pair: pair[0])
        found += [(text, float(0.5 - 0.5 * np.tanh(0.5 * margin))) for margin, text in best]
    return found


def judge(
    model: Any,
    pair: PairTokenizer,
    questions: Sequence[Question],
    windows: Windows,
    evaluation: Evaluation,
    device: str = "cpu",
    autocast: str | None = None,
) -> dict[str, float]:
    """Exact match and F1 of the model as it is; the processes of a distributed run share the questions.

    :param model: The model of transformers; it is left in the mode that it was in.
    :param pair: Its tokenizer.
    :param questions: The questions.
    :param windows: How they are cut.
    :param evaluation: How many windows a batch has.
    :param device: Where the model is.
    :param autocast: As in `LiveEngine`.
    :returns: Figures in percent by the names of `squad_metrics`: "no answer" is said where the model's own vote says
        so, and of `best_f1` and `best_exact` at the best threshold; `threshold` is that of `best_f1`, as a margin.
    """
    from accelerate import PartialState
    from accelerate.utils import gather_object

    state, training = PartialState(), model.training
    model.eval()
    try:
        engine = LiveEngine(model, device, autocast)
        settings = read_settings(windows, evaluation.batch_size)
        mine = predict(engine, pair, questions[state.process_index :: state.num_processes], settings)
    finally:
        model.train(training)
    shares = gather_object([mine]) if state.num_processes > 1 else [mine]
    predictions = [("", 1.0)] * len(questions)
    for process, share in enumerate(shares):
        predictions[process :: len(shares)] = share
    texts, none = [text for text, _ in predictions], [p for _, p in predictions]
    metrics = squad_metrics(questions, texts, none, threshold=0.5)
    kept = {name: metrics[name] for name in _KEPT if name in metrics}
    p = float(np.clip(kept.pop("best_f1_thresh"), 1e-12, 1 - 1e-12))
    return {**kept, "threshold": float(np.log1p(-p) - np.log(p))}
