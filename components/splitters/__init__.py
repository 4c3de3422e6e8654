"""Documents cut into passages that fit the embedder and the reader, with exact offsets."""

from lodestone.components.splitters.passage_splitter import PassageSplitter

__all__ = ["PassageSplitter"]
