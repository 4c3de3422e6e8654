"""The different values of a metadata field, by pages."""

from typing import Any


def page_of(values: list[Any], search_term: str | None, from_: int, size: int) -> tuple[list[Any], int]:
    """Search, sort and cut values.

    :param values: The values; none twice.
    :param search_term: Only values whose text has this in it, in upper or lower case; None for all.
    :param from_: How many values to leave out at the start.
    :param size: How many values at most.
    :returns: Values in the order of their text, and how many there are altogether.
    """
    if search_term is not None:
        values = [value for value in values if search_term.lower() in str(value).lower()]
    values = sorted(values, key=lambda value: (str(value), type(value).__name__))
    return values[from_ : from_ + size], len(values)
