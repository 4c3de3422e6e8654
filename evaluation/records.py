"""What was answered to each question of an evaluation: all that its figures are reckoned from."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from haystack.dataclasses import ExtractedAnswer

_NO_GUESS = -1e9


@dataclass(frozen=True)
class Guess:
    """One quote that was given.

    :param text: The words.
    :param score: Its probability, or its margin where the reader is not calibrated.
    :param source: Path of the document that it stands in, where that is known.
    """

    text: str
    score: float
    source: str | None = None


@dataclass(frozen=True)
class Record:
    """One question with what was answered to it.

    :param id: Its id.
    :param question: The question.
    :param accepted: The accepted answers; empty where it has none.
    :param guesses: The quotes that were given, best first, "no answer" not among them.
    :param no_answer_score: The score of "no answer".
    :param calibrated: Whether scores are probabilities.
    :param source: The document that holds the answer, where the data say so.
    :param answer_rank: 1-based rank of the first retrieved passage that holds an accepted answer; None if none does.
    :param source_rank: 1-based rank of the first retrieved passage of `source`; None if there is none.
    """

    id: str
    question: str
    accepted: tuple[str, ...]
    guesses: tuple[Guess, ...]
    no_answer_score: float
    calibrated: bool
    source: str | None = None
    answer_rank: int | None = None
    source_rank: int | None = None

    @property
    def best(self) -> str:
        """The best quote, whether or not "no answer" is likelier; "" where none was given."""
        return self.guesses[0].text if self.guesses else ""

    @property
    def score(self) -> float:
        """The best quote's score; where none was given 0.0, or far below all margins."""
        return self.guesses[0].score if self.guesses else 0.0 if self.calibrated else _NO_GUESS

    @property
    def no_answer(self) -> float:
        """Probability of "no answer", which is said where it is above 0.5; of margins, that against the best quote."""
        if self.calibrated:
            return self.no_answer_score
        return 1 / (1 + math.exp(min(self.score - self.no_answer_score, 700.0)))

    @property
    def emptiness(self) -> float:
        """How likely there is no answer, in order: the probability, or what the best margin lacks."""
        return self.no_answer_score if self.calibrated else self.no_answer_score - self.score

    def check(self) -> None:
        """Refuse what no evaluation writes.

        :raises ValueError: If a text is none, or a score is no finite number.
        """
        texts = [self.question, *self.accepted, *(guess.text for guess in self.guesses)]
        scores = [self.no_answer_score, *(guess.score for guess in self.guesses)]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("questions, answers and quotes are texts")
        if not all(isinstance(score, int | float) and math.isfinite(score) for score in scores):
            raise ValueError("scores are finite numbers")

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Record":
        """A record from what `to_dict` gave, other entries left aside."""
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        known["accepted"] = tuple(known["accepted"])
        known["guesses"] = tuple(Guess(**guess) for guess in known["guesses"])
        return cls(**known)


def guesses_of(answers: Sequence[ExtractedAnswer]) -> tuple[tuple[Guess, ...], float, bool]:
    """What a reader gave for one question.

    :param answers: Its answers, "no answer" among them.
    :returns: The quotes, best first; the score of "no answer", 0.0 if it was not given; whether they are calibrated.
    """
    guesses = tuple(
        Guess(answer.data, float(answer.score), answer.document.meta.get("source") if answer.document else None)
        for answer in answers
        if answer.data is not None
    )
    none = next((float(answer.score) for answer in answers if answer.data is None), 0.0)
    return guesses, none, bool(answers) and all(answer.meta.get("calibrated", False) for answer in answers)
