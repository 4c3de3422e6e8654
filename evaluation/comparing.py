"""Two runs over the same questions."""

from dataclasses import dataclass

from lodestone.components.errors import ConfigurationError
from lodestone.evaluation.bootstrap import Difference, paired_difference
from lodestone.evaluation.partial import Entry
from lodestone.evaluation.records import Record
from lodestone.evaluation.results import RANKINGS, Result
from lodestone.evaluation.score_figures import score_differences


@dataclass(frozen=True)
class Compared:
    """One measure of two runs, over the questions that both have it for.

    :param name: The measure.
    :param first: The first run's: a mean over questions, or what its scores are worth over all of them.
    :param second: The second's.
    :param count: Over how many questions.
    :param difference: The second less the first, how sure that is, and the p-value.
    """

    name: str
    first: float
    second: float
    count: int
    difference: Difference


def pair(first: Result, second: Result) -> list[tuple[Entry, Entry]]:
    """The questions that two runs have in common, in the first's order.

    :param first: One run.
    :param second: The other.
    :returns: What each run says of them.
    :raises ConfigurationError: If the runs are of different kinds, have no question in common, or one whose words or
        accepted answers are not the same.
    """
    if first.kind != second.kind:
        raise ConfigurationError(f"the results are of different kinds: {first.kind} and {second.kind}")
    others = {question["id"]: question for question in second.questions}
    both = [(each, others[each["id"]]) for each in first.questions if each["id"] in others]
    if not both:
        raise ConfigurationError("the results have no question in common; compare runs over the same data")
    for one, other in both:
        # Collections number their queries: 1 is another question in each.
        if one["question"] != other["question"]:
            raise ConfigurationError(f"the question {one['id']!r} has other words; the data are not the same")
        if list(one.get("accepted", ())) != list(other.get("accepted", ())):
            raise ConfigurationError(
                f"the question {one['id']!r} has other accepted answers; the data are not the same"
            )
    return both


def note(first: Result, second: Result) -> str:
    """What to mind in a comparison of two runs: that "no answer" counts as said from different probabilities on.

    :param first: One run.
    :param second: The other.
    :returns: It, or "" for nothing.
    """
    one, other = (run.settings.get("no_answer_threshold") for run in (first, second))
    if one == other:
        return ""
    return (
        f'exact and f1 count "no answer" as said above {one:g} in A and above {other:g} in B, so they may differ by it.'
    )


def compare(first: Result, second: Result) -> list[Compared]:
    """Compare two runs, question by question.

    :param first: One run.
    :param second: The other.
    :returns: Every measure that both have, in the first's order, and what their scores are worth.
    :raises ConfigurationError: As `pair`, or if they have no measure in common.
    """
    both = pair(first, second)
    pairs = [(one["measures"], other["measures"]) for one, other in both]
    compared = []
    for name in dict.fromkeys(name for measures, _ in pairs for name in measures):
        values = [(a[name], b[name]) for a, b in pairs if name in a and name in b]
        if not values:
            continue
        lists = [a for a, _ in values], [b for _, b in values]
        means = [sum(each) / len(each) for each in lists]
        compared.append(Compared(name, means[0], means[1], len(values), paired_difference(*lists)))
    if first.kind == RANKINGS:
        if not compared:
            raise ConfigurationError("the results have no measure in common; give both runs the same --measure")
        return compared
    runs = [([Record.from_dict(each) for each in run], [each["measures"]["right"] for each in run])
            for run in zip(*both, strict=True)]  # fmt: skip
    return compared + [Compared(name, a, b, len(both), d) for name, (a, b, d) in score_differences(*runs).items()]
