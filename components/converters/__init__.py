"""Converters that Haystack lacks, or that keep what its own lose."""

from lodestone.components.converters.json_to_document import JSONToDocument
from lodestone.components.converters.plain_markdown import PlainMarkdown

__all__ = ["JSONToDocument", "PlainMarkdown"]
