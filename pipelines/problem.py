"""What is wrong in a pipeline definition, and where."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Problem:
    """
    One mistake in a pipeline definition.

    `str(problem)` is one line: `pipelines/query.yaml:12: top_k must be an integer, got 'ten'`.

    :param file: The definition's file, as the user named it.
    :param line: Line in the file, counted from 1.
    :param message: What is wrong and what would be right, on one line.
    """

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


def did_you_mean(wrong: object, valid: Iterable[str]) -> str:
    """
    Name the valid word that is close to the one that was given.

    :param wrong: What was written.
    :param valid: What could have been written.
    :returns: ` Did you mean 'x'?`, or an empty string if nothing is close.
    """
    by_lower = {name.lower(): name for name in valid}
    close = difflib.get_close_matches(str(wrong).lower(), by_lower, n=1, cutoff=0.6)
    return f" Did you mean '{by_lower[close[0]]}'?" if close else ""


def one_line(text: object, limit: int = 400) -> str:
    """
    Make any text fit one line of a report.

    :param text: The text; control characters and line breaks become spaces.
    :param limit: Longest result, in characters; a longer text ends in `...`.
    :returns: The text on one line.
    """
    line = " ".join("".join(character if character.isprintable() else " " for character in str(text)).split())
    return line if len(line) <= limit else f"{line[: limit - 3]}..."


def shown(value: object) -> str:
    """
    Show a value of a definition in a message.

    :param value: Any value that YAML can hold.
    :returns: Its short form: `'text'`, `12`, `true`, `null`, `a mapping`, `a list`.
    """
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case dict():
            return "a mapping"
        case list() | tuple() | set():
            return "a list"
        case _:
            return one_line(repr(value) if isinstance(value, str) else str(value), limit=80)
