"""What kinds of answers were given, the wrong ones above all."""

from collections.abc import Sequence
from dataclasses import dataclass

from lodestone.evaluation.records import Record
from lodestone.evaluation.squad import exact_match, f1


@dataclass(frozen=True)
class Kind:
    """Answers of one kind.

    :param title: What they have in common.
    :param wrong: Whether they are mistakes, or half of one.
    :param records: The questions, those first whose mistake the reader was surest of.
    """

    title: str
    wrong: bool
    records: list[Record]


def kinds_of(records: Sequence[Record], threshold: float, *, searched: bool) -> list[Kind]:
    """Sort the questions by what became of them.

    :param records: What was answered.
    :param threshold: Above which probability of "no answer" a question counts as given none.
    :param searched: Whether passages were retrieved, so that the answer may be in none.
    :returns: The kinds that occur, in a fixed order.
    """
    titles = {
        "exact": "Right to the letter",
        "none": 'Rightly given "no answer"',
        "partial": "Shares words with an accepted answer",
        "other": "Other words than any accepted answer",
        "missed": 'Given "no answer", though there is one',
        "unfound": "The answer was in no passage that was retrieved",
        "made up": "Given an answer, though there is none",
    }
    sorted_by: dict[str, list[Record]] = {name: [] for name in titles}
    for record in records:
        sorted_by[_kind(record, threshold, searched)].append(record)
    sorted_by["missed"].sort(key=lambda record: -record.emptiness)
    for name in set(titles) - {"missed"}:
        sorted_by[name].sort(key=lambda record: -record.score)
    right = ("exact", "none")
    return [Kind(title, name not in right, sorted_by[name]) for name, title in titles.items() if sorted_by[name]]


def _kind(record: Record, threshold: float, searched: bool) -> str:
    said = "" if record.no_answer > threshold else record.best
    if not record.accepted:
        return "made up" if said else "none"
    if exact_match(said, record.accepted):
        return "exact"
    if f1(said, record.accepted) > 0:
        return "partial"
    if searched and record.answer_rank is None:
        return "unfound"
    return "other" if said else "missed"
