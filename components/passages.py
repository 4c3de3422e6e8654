"""What a passage is: a Haystack `Document` whose metadata says where in its document it stands."""

from collections.abc import Mapping
from typing import Any

from haystack import Document


def searchable_text(document: Document) -> str:
    """The text that is embedded and searched for a passage: its headings, outermost first, above its content.

    Headings stay out of `content`, where an answer must be an exact quote, but they often hold the very words that
    tell two sections apart.

    :param document: A passage; `meta["headings"]` is a list of strings and may be missing.
    :returns: One heading a line, then the content.
    """
    return "\n".join([*headings_of(document.meta), document.content or ""])


def headings_of(meta: Mapping[str, Any]) -> list[str]:
    """The headings above a passage, outermost first.

    :param meta: The passage's metadata.
    :returns: Strings; none where `headings` is missing or no list.
    """
    headings = meta.get("headings")
    return [str(heading) for heading in headings] if isinstance(headings, list) else []
