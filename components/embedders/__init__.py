"""sentence-transformers' models: one embedder for questions, one for passages."""

from lodestone.components.embedders.passage_embedder import PassageEmbedder
from lodestone.components.embedders.text_embedder import TextEmbedder

__all__ = ["PassageEmbedder", "TextEmbedder"]
