"""The figures of the SQuAD 2.0 evaluation script (Rajpurkar et al. 2018), equal to it to the last digit."""

from collections.abc import Sequence

from lodestone.components.errors import ConfigurationError
from lodestone.evaluation.squad import Question, exact_match, f1


def squad_metrics(
    questions: Sequence[Question],
    predictions: Sequence[str],
    no_answer: Sequence[float] | None = None,
    threshold: float = 1.0,
) -> dict[str, float]:
    """Exact match and F1 over all questions, over those with an answer and over those without.

    The names are those of `squad_evaluate` in transformers 4 and of the official script, and so are the sums, in their
    order, so that no digit differs.

    :param questions: The questions.
    :param predictions: The predicted answer of each, "" for "no answer".
    :param no_answer: For each the probability that it has none; None for 0.
    :param threshold: Above which probability a question counts as given no answer, whatever was predicted.
    :returns: `exact`, `f1` (percent) and `total`; the same with `HasAns_` and with `NoAns_` before it where there are
        such questions; and `best_exact`, `best_f1` (percent) at the thresholds `best_exact_thresh`, `best_f1_thresh`.
    :raises ConfigurationError: If there are no questions, or not as many predictions or probabilities.
    """
    none = [0.0] * len(questions) if no_answer is None else list(no_answer)
    if not questions or not len(questions) == len(predictions) == len(none):
        raise ConfigurationError(
            f"as many predictions and no-answer probabilities as questions are needed, and at least one: got "
            f"{len(questions)} questions, {len(predictions)} predictions, {len(none)} probabilities"
        )
    answerable = [bool(question.answers) for question in questions]
    judged = {
        "exact": [exact_match(text, each.answers) for text, each in zip(predictions, questions, strict=True)],
        "f1": [f1(text, each.answers) for text, each in zip(predictions, questions, strict=True)],
    }
    kept = {
        name: [
            (0.0 if has else 1.0) if p > threshold else score
            for score, p, has in zip(scores, none, answerable, strict=True)
        ]
        for name, scores in judged.items()
    }
    figures = _means(kept, range(len(questions)), "")
    for prefix, kind in (("HasAns_", True), ("NoAns_", False)):
        chosen = [place for place, has in enumerate(answerable) if has is kind]
        figures |= _means(kept, chosen, prefix) if chosen else {}
    said = [bool(text) for text in predictions]
    for name, scores in judged.items():
        figures[f"best_{name}"], figures[f"best_{name}_thresh"] = _best(scores, none, answerable, said)
    return figures


def _means(scores: dict[str, list[float]], places: Sequence[int], prefix: str) -> dict[str, float]:
    means = {
        f"{prefix}{name}": 100.0 * sum(each[place] for place in places) / len(places) for name, each in scores.items()
    }
    return {**means, f"{prefix}total": len(places)}


def _best(
    scores: Sequence[float], none: Sequence[float], answerable: Sequence[bool], said: Sequence[bool]
) -> tuple[float, float]:
    """The best mean, in percent, that any threshold on the no-answer probability reaches, and that threshold."""
    current: float = answerable.count(False)
    best, threshold = current, 0.0
    for place in sorted(range(len(none)), key=none.__getitem__):
        current += scores[place] if answerable[place] else -1 if said[place] else 0
        if current > best:
            best, threshold = current, none[place]
    return 100.0 * best / len(scores), threshold
