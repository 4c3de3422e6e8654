"""Dates in filters."""

import re
from datetime import UTC, datetime

import dateutil.parser  # type: ignore[import-untyped]
from haystack.errors import FilterError

ORDERING = (">", ">=", "<", "<=")
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ].*)?", re.DOTALL)


def iso_date(text: str) -> datetime | None:
    """The date in a text that Haystack takes for one when it looks for equal dates and Python reads; else None."""
    try:
        return datetime.fromisoformat(text) if _ISO_DATE.fullmatch(text) else None
    except ValueError:
        return None


def clocks_of(date: datetime | None) -> tuple[str, str] | None:
    """A date as `fields.clock_of` writes it, to compare with values without a time zone, and with values in UTC.

    :param date: If it or the value has no time zone, it is taken to be in that of the other.
    :returns: None if there is no date, or it is before the year 1 or after 9999 in UTC.
    """
    if date is None:
        return None
    try:
        utc = date if date.tzinfo is None else date.astimezone(UTC)
    except OverflowError:
        return None
    return f"n{date.replace(tzinfo=None).isoformat()}", f"u{utc.replace(tzinfo=None).isoformat()}"


def parse_date(value: str) -> datetime:
    """The date in a text, in any form that Haystack reads where dates are ordered.

    :raises FilterError: If there is none.
    """
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        try:
            parsed: datetime = dateutil.parser.parse(value)
            return parsed
        except (ValueError, OverflowError, TypeError) as error:
            raise FilterError(
                f"Can't compare strings using operators {', '.join(ORDERING)}: {value!r} is no ISO formatted date."
            ) from error
