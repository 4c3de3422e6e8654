"""A model's fast tokenizer, without the truncation and padding that its file may switch on."""

from pathlib import Path
from typing import TYPE_CHECKING

from lodestone.components.errors import ConfigurationError
from lodestone.components.models.resolve import tokenizer_folder

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["load_tokenizer", "tokenizer_folder"]


def load_tokenizer(name_or_folder: str | Path) -> "Tokenizer":
    """Load a model's tokenizer as it is used by us: nothing truncated, nothing padded.

    :param name_or_folder: A model's name, as for `resolve_model`, or a folder with a `tokenizer.json`.
    :returns: A new object at every call, so that its caller may change it.
    :raises ConfigurationError: There is no such model, or its tokenizer cannot be read.
    """
    from tokenizers import Tokenizer

    folder = tokenizer_folder(str(name_or_folder))
    path = folder / "tokenizer.json"
    if path.is_file():
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception
            raise ConfigurationError(f"{path} is no tokenizer file: {error}") from error
    else:
        tokenizer = _converted_tokenizer(folder)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _converted_tokenizer(folder: Path) -> "Tokenizer":
    """A fast tokenizer made from the vocabulary files of an older model."""
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer

    try:
        slow = AutoTokenizer.from_pretrained(str(folder), use_fast=True, local_files_only=True)
    except Exception as error:
        raise ConfigurationError(
            f"{str(folder)!r} has no tokenizer.json, and none can be made from its files: {error}"
        ) from error
    backend = getattr(slow, "backend_tokenizer", None)
    if backend is None:
        raise ConfigurationError(f"{str(folder)!r} has no tokenizer.json, and its tokenizer has no fast version")
    # Without any vocabulary file transformers makes one of the special tokens alone, for which every word is unknown.
    if backend.get_vocab_size() <= len(backend.get_added_tokens_decoder()):
        raise ConfigurationError(
            f"{str(folder)!r} holds no tokenizer; name the one that the model was trained with (`tokenizer=`)"
        )
    return Tokenizer.from_str(backend.to_str())
