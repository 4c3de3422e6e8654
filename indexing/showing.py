"""Names that others gave, as a terminal and a report can show them."""

import unicodedata


def printable(text: str) -> str:
    """A text without characters that would steer a terminal or begin a line; they are written as in Python.

    :param text: A name, or a message that may quote one.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or unicodedata.category(char) == "Zs" else ascii(char)[1:-1] for char in text
    )
