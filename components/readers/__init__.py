"""Extractive readers: question and passages in, located and scored quotes out."""

from lodestone.components.readers.extractive_reader import ExtractiveReader

__all__ = ["ExtractiveReader"]
