"""The bundled reader, and how a model's name becomes a folder and a tokenizer."""

from lodestone.components.models.resolve import DEFAULT_EMBEDDER, DEFAULT_READER, resolve_model, tokenizer_folder
from lodestone.components.models.tokenizer import load_tokenizer

__all__ = ["DEFAULT_EMBEDDER", "DEFAULT_READER", "load_tokenizer", "resolve_model", "tokenizer_folder"]
