"""The figures of an evaluation from what was answered."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lodestone.components.errors import ConfigurationError
from lodestone.evaluation.bootstrap import confidence_interval
from lodestone.evaluation.calibration_metrics import log_loss
from lodestone.evaluation.records import Record
from lodestone.evaluation.score_figures import score_figures
from lodestone.evaluation.squad import Question, exact_match, f1
from lodestone.evaluation.squad_metrics import squad_metrics

RANKS = (1, 3, 5)
_LOSSES = ("brier", "log_loss")


@dataclass(frozen=True)
class Judgement:
    """Figures over all questions, and what each question adds to them.

    :param metrics: Figures by name: `exact`, `f1` and those made of them in percent, all others as they are.
    :param intervals: 95 % confidence intervals, on the same scale, of those that have one; of `ece_of_perfect` the
        range that 95 % of the errors of perfect probabilities lie in.
    :param measures: For each question the values whose means the figures are: 0 to 1, but for `log_loss`.
    """

    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    measures: list[dict[str, float]]


def checked_threshold(threshold: float | None, records: Sequence[Record]) -> float:
    """Above which probability of "no answer" a question counts as given none.

    :param threshold: The probability; None for 0.5 where some question has no answer, and else for 1.0, so that the
        best quote always counts, as in SQuAD 1.1.
    :param records: The records.
    :raises ConfigurationError: If it is not between 0 and 1.
    """
    if threshold is None:
        return 0.5 if any(not record.accepted for record in records) else 1.0
    if not 0 <= threshold <= 1:
        raise ConfigurationError(f"the threshold is a probability between 0 and 1, got {threshold}")
    return threshold


def judge_reading(records: Sequence[Record], threshold: float) -> Judgement:
    """How good the best quotes are, when "no answer" is said, and what the scores are worth.

    :param records: What was answered.
    :param threshold: Above which probability of "no answer" a question counts as given none.
    :returns: The figures of the SQuAD script under its names; those of `calibration_metrics` on whether the best quote
        is right (an exact match with an accepted answer), and on whether there is an answer.
    """
    questions = [Question(record.id, record.question, "", record.accepted) for record in records]
    none = [record.no_answer for record in records]
    metrics = squad_metrics(questions, [record.best for record in records], none, threshold)
    measures = [_measures(record, threshold) for record in records]
    right = [each["right"] for each in measures]
    metrics["right"] = float(np.mean(right))
    # Whatever the threshold: it is 1 where all questions have an answer, and `lodestone ask` knows no other than this.
    metrics["no_answer_above_0.5"] = float(np.mean([p > 0.5 for p in none]))
    figures, intervals = score_figures(records, right)
    if all(record.calibrated for record in records):
        figures |= {name: float(np.mean([each[name] for each in measures])) for name in _LOSSES}
    return Judgement(metrics | figures, intervals | _intervals(records, measures), measures)


def judge_answering(records: Sequence[Record], threshold: float) -> Judgement:
    """`judge_reading`, and of the questions with an answer how often it is found, further down too.

    :param records: What was answered.
    :param threshold: As in `judge_reading`.
    :returns: Beside its figures, over the questions with an answer: `exact@k` and `f1@k`, the best of the first k
        quotes; `answer_recall@k`, how often an accepted answer stands in the first k passages, and `answer_recall` in
        any; `document_recall` and `right_document`, how often the right document is among the passages, and holds the
        best quote.
    """
    judged = judge_reading(records, threshold)
    for record, measures in zip(records, judged.measures, strict=True):
        measures |= _retrieval_measures(record) if record.accepted else {}
    metrics, intervals = dict(judged.metrics), dict(judged.intervals)
    for name in dict.fromkeys(name for each in judged.measures for name in each):
        if name in metrics:
            continue
        values = [each[name] for each in judged.measures if name in each]
        scale = 100.0 if name.startswith(("exact@", "f1@")) else 1.0
        metrics[name] = scale * float(np.mean(values))
        low, high = confidence_interval(values)
        intervals[name] = (scale * low, scale * high)
    return Judgement(metrics, intervals, judged.measures)


def _measures(record: Record, threshold: float) -> dict[str, float]:
    said = "" if record.no_answer > threshold else record.best
    right = exact_match(record.best, record.accepted) if record.accepted else 0.0
    measures = {"exact": exact_match(said, record.accepted), "f1": f1(said, record.accepted), "right": right}
    if record.calibrated:
        measures |= {"brier": (record.score - right) ** 2, "log_loss": log_loss([record.score], [right])}
    return measures


def _retrieval_measures(record: Record) -> dict[str, float]:
    measures = {}
    for rank in RANKS:
        texts = [guess.text for guess in record.guesses[:rank]] or [""]
        measures[f"exact@{rank}"] = max(exact_match(text, record.accepted) for text in texts)
        measures[f"f1@{rank}"] = max(f1(text, record.accepted) for text in texts)
        measures[f"answer_recall@{rank}"] = float(record.answer_rank is not None and record.answer_rank <= rank)
    measures["answer_recall"] = float(record.answer_rank is not None)
    if record.source is not None:
        measures["document_recall"] = float(record.source_rank is not None)
        measures["right_document"] = float(bool(record.guesses) and record.guesses[0].source == record.source)
    return measures


def _intervals(records: Sequence[Record], measures: Sequence[dict[str, float]]) -> dict[str, tuple[float, float]]:
    whole = [name for name in ("right", *_LOSSES) if all(name in each for each in measures)]
    intervals = {name: confidence_interval([each[name] for each in measures]) for name in whole}
    kinds = {"": measures}
    kinds["HasAns_"] = [each for record, each in zip(records, measures, strict=True) if record.accepted]
    kinds["NoAns_"] = [each for record, each in zip(records, measures, strict=True) if not record.accepted]
    for prefix, chosen in kinds.items():
        for name in ("exact", "f1") if chosen else ():
            low, high = confidence_interval([each[name] for each in chosen])
            intervals[f"{prefix}{name}"] = (100.0 * low, 100.0 * high)
    return intervals
