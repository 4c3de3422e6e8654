"""What a passage is: a Haystack `Document` whose metadata says where in its document it stands."""

from haystack import Document


def searchable_text(document: Document) -> str:
    """The text that is embedded and searched for a passage: its headings, outermost first, above its content.

    Headings stay out of `content`, where an answer must be an exact quote, but they often hold the very words that
    tell two sections apart.

    :param document: A passage; `meta["headings"]` is a list of strings and may be missing.
    :returns: One heading a line, then the content.
    """
    headings = document.meta.get("headings")
    if not isinstance(headings, list):
        headings = []
    return "\n".join([*(str(heading) for heading in headings), document.content or ""])
