"""The figures of a result as people read them: named, in order, with their intervals."""

import math
from dataclasses import dataclass

from lodestone.evaluation.judging import RANKS
from lodestone.evaluation.results import Result
from lodestone.evaluation.score_figures import ACCURACIES, THRESHOLDS

# Figures in percent, fractions shown as percent, plain numbers, fractions shown as so many of the questions.
_PERCENT, _FRACTION, _NUMBER, _COUNT = range(4)


@dataclass(frozen=True)
class Row:
    """A figure.

    :param label: What it is.
    :param value: The figure as text.
    :param interval: Its 95 % confidence interval as text; "" where it has none, or one of no width.
    """

    label: str
    value: str
    interval: str


def _counted(number: int, noun: str) -> str:
    return noun if number == 1 else f"{number} {noun}s"


_SECTIONS: dict[str, list[tuple[str, str, int]]] = {
    "All questions": [("exact", "Exact match", _PERCENT), ("f1", "F1", _PERCENT)],
    "Questions with an answer": [("HasAns_exact", "Exact match", _PERCENT), ("HasAns_f1", "F1", _PERCENT)],
    "Questions without": [("NoAns_exact", 'Rightly given "no answer"', _PERCENT)],
    "The best threshold on the no-answer probability": [
        ("best_exact", "Exact match", _PERCENT),
        ("best_exact_thresh", "  at the threshold", _NUMBER),
        ("best_f1", "F1", _PERCENT),
        ("best_f1_thresh", "  at the threshold", _NUMBER),
    ],
    "The first quotes, where there is an answer": [
        (f"{name}@{rank}", f"{text}, best of {rank}" if rank > 1 else f"{text}, first quote", _PERCENT)
        for name, text in (("exact", "Exact match"), ("f1", "F1"))
        for rank in RANKS
    ],
    "Retrieval, where there is an answer": [
        *((f"answer_recall@{rank}", f"Answer in the first {_counted(rank, 'passage')}", _FRACTION) for rank in RANKS),
        ("answer_recall", "Answer in any passage", _FRACTION),
        ("document_recall", "Right document among the passages", _FRACTION),
        ("right_document", "First quote is from the right document", _FRACTION),
    ],
    "No answer": [
        ("no_answer_above_0.5", '"No answer" above 0.5, where `ask` says it', _FRACTION),
        ("no_answer_auroc", "Tells unanswerable questions, AUROC", _NUMBER),
        ("no_answer_average_precision", "Tells unanswerable questions, average precision", _NUMBER),
    ],
    "What the score of the best quote is worth": [
        ("right", "Best quote right, to the word", _FRACTION),
        ("right_auroc", "Tells right quotes from wrong ones, AUROC", _NUMBER),
        ("ece", "Calibration error (ECE, 15 bins)", _NUMBER),
        ("ece_of_perfect", "  of perfect probabilities, by chance", _NUMBER),
        ("brier", "Brier score", _NUMBER),
        ("log_loss", "Log loss, nats", _NUMBER),
        ("aurc", "Area under the risk-coverage curve", _NUMBER),
        *(pair for a in ACCURACIES for pair in (
            (f"coverage_at_{a}", f"Coverage at {a * 100:.0f} % accuracy", _FRACTION),
            (f"coverage_at_{a}", "  which rests on so many answers", _COUNT),
        )),
        *(pair for p in THRESHOLDS for pair in (
            (f"above_{p}", f"Questions with a score above {p}", _FRACTION),
            (f"right_above_{p}", "  of them right", _FRACTION),
        )),
    ],
}  # fmt: skip


def questions(number: int) -> str:
    """So many questions, as people read it.

    :param number: How many.
    """
    return f"{number:,} question{'' if number == 1 else 's'}"


def heading(result: Result) -> str:
    """What was measured on what, in one line.

    :param result: The result.
    """
    count = questions(result.data["questions"])
    kinds = [result.metrics.get(f"{kind}_total") for kind in ("HasAns", "NoAns")]
    if kinds[1] is not None:
        count += f", {kinds[0] or 0:,.0f} with an answer and {kinds[1]:,.0f} without"
    return f"{result.data['file']}: {count}"


def sections(result: Result) -> dict[str, list[Row]]:
    """The figures that a result has, by section.

    :param result: The result.
    :returns: For each section that has any its rows; figures without a name of their own come first, as they are.
    """
    known = {name for rows in _SECTIONS.values() for name, _, _ in rows}
    others = [name for name in result.metrics if name not in known and not _counts(name)]
    shown = {"Ranking": [_row(result, name, name, _NUMBER) for name in others] if result.kind == "retrieval" else []}
    for title, rows in _SECTIONS.items():
        shown[title] = [_row(result, *row) for row in rows if row[0] in result.metrics]
    if "NoAns_total" not in result.metrics:
        # All questions have an answer, and all are said to have one.
        for title in ("Questions with an answer", "The best threshold on the no-answer probability"):
            shown.pop(title)
    return {title: rows for title, rows in shown.items() if rows}


def label(name: str) -> str:
    """What a figure is called outside its section.

    :param name: Its name in JSON.
    """
    whole = ""
    for rows in _SECTIONS.values():
        for known, text, _ in rows:
            whole = whole if text.startswith(" ") else text
            if known == name:
                return text if text == whole else f"{whole}: {text.strip()}"
    return name


def _counts(name: str) -> bool:
    return name.endswith("total") or name == "NoAns_f1"


def _row(result: Result, name: str, label: str, form: int) -> Row:
    if form == _COUNT:
        return Row(label, f"{result.metrics[name] * result.data['questions']:,.0f}", "")
    ends = result.intervals.get(name)
    # Two right answers of two are the same two in every resample: that says nothing of others.
    known = ends is not None and not math.isclose(*ends, abs_tol=1e-12)
    interval = "" if ends is None or not known else f"{_text(ends[0], form)} to {_text(ends[1], form)}"
    return Row(label, _text(result.metrics[name], form), interval)


def _text(value: float, form: int) -> str:
    if form == _NUMBER:
        return f"{value:.3f}"
    return f"{value:.1f} %" if form == _PERCENT else f"{value:.1%}".replace("%", " %")
