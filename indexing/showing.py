"""Names that others gave, as a terminal and a report can show them."""

import unicodedata
from dataclasses import dataclass, field

_NAMED = 3


def printable(text: str) -> str:
    """A text without characters that would steer a terminal or begin a line; they are written as in Python.

    :param text: A name, or a message that may quote one.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or unicodedata.category(char) == "Zs" else ascii(char)[1:-1] for char in text
    )


@dataclass
class Named:
    """Documents, however many, of which the first are named."""

    number: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, key: tuple[str, str]) -> None:
        """Count one.

        :param key: Its root and path.
        """
        self.number += 1
        if self.number <= _NAMED:
            self.first.append(printable("/".join(key)))

    def __str__(self) -> str:
        return ", ".join(self.first) + (", ..." if self.number > _NAMED else "")
