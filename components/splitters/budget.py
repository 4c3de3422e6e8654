"""What a passage may take: the room that the embedder and the reader leave for it, in their own tokens."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lodestone.components.errors import ConfigurationError
from lodestone.components.models.tokenizer import load_tokenizer, tokenizer_folder
from lodestone.components.splitters.token_count import tokenizer_digest

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SMALLEST_PASSAGE = 16
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")
_UNLIMITED = 1_000_000


@dataclass(frozen=True)
class Budget:
    """Two tokenizers, and how many of their tokens a passage may have.

    `reader_room` counts the content alone, `embedder_room` headings and content; `content_room` bounds the content
    under either tokenizer. `fingerprint` tells two budgets apart whose passages may differ.
    """

    reader: "Tokenizer"
    embedder: "Tokenizer"
    reader_room: int
    embedder_room: int
    content_room: int
    same_tokenizer: bool
    fingerprint: tuple[str, ...]


def load_budget(
    embedder: str, reader: str, max_tokens: int | None, max_query_tokens: int, reader_window: int
) -> Budget:
    """Load both tokenizers and work out the room of a passage.

    :param embedder: Name or folder of the embedding model.
    :param reader: Name or folder of the reader model.
    :param max_tokens: The most tokens of a passage's content; None for as many as fit.
    :param max_query_tokens: The reader's cap on a question.
    :param reader_window: Tokens of a reader's window: question, passage and special tokens.
    :returns: The budget.
    :raises ConfigurationError: A model is unknown, or a number is out of its range.
    """
    reader_tokenizer, embedder_tokenizer = load_tokenizer(reader), load_tokenizer(embedder)
    longest = _positions(tokenizer_folder(reader))
    if reader_window > longest:
        raise ConfigurationError(f"reader_window must be at most {longest} for reader {reader!r}, got {reader_window}")
    reader_room = reader_window - max_query_tokens - reader_tokenizer.num_special_tokens_to_add(True)
    if reader_room < SMALLEST_PASSAGE:
        raise ConfigurationError(
            f"reader_window={reader_window} less max_query_tokens={max_query_tokens} leaves {reader_room} tokens for a "
            f"passage, fewer than {SMALLEST_PASSAGE}; raise reader_window or lower max_query_tokens"
        )
    folder = tokenizer_folder(embedder)
    embedder_room = embedder_length(folder) - embedder_tokenizer.num_special_tokens_to_add(False)
    embedder_room -= len(embedder_tokenizer.encode(_document_prompt(folder), add_special_tokens=False))
    if embedder_room < SMALLEST_PASSAGE:
        raise ConfigurationError(f"embedder {embedder!r} takes only {embedder_room} tokens of a passage; name another")
    largest = min(reader_room, embedder_room)
    if max_tokens is not None and max_tokens > largest:
        raise ConfigurationError(
            f"max_tokens must be at most {largest}, got {max_tokens}: reader {reader!r} has room for {reader_room} "
            f"tokens, embedder {embedder!r} for {embedder_room}; leave it out for the largest that fits"
        )
    digests = tokenizer_digest(reader), tokenizer_digest(embedder)
    return Budget(
        reader=reader_tokenizer,
        embedder=embedder_tokenizer,
        reader_room=reader_room,
        embedder_room=embedder_room,
        content_room=largest if max_tokens is None else max_tokens,
        same_tokenizer=_cuts(reader_tokenizer) == _cuts(embedder_tokenizer),
        fingerprint=(*digests, str(reader_room), str(embedder_room)),
    )


def _cuts(tokenizer: "Tokenizer") -> dict[str, Any]:
    """What of a tokenizer decides where a text is cut into tokens: not the special tokens around it, nor truncation."""
    described: dict[str, Any] = json.loads(tokenizer.to_str())
    return {part: described.get(part) for part in ("added_tokens", "normalizer", "pre_tokenizer", "model")}


def embedder_length(folder: Path) -> int:
    """The longest text that an embedding model takes, in tokens with the special ones.

    :param folder: The model's folder.
    :returns: `max_seq_length` of sentence-transformers, else what its tokenizer or its positions allow, at most 8,192.
    """
    own = [_json(folder / name).get("max_seq_length") for name in _MODULE_FILES]
    lengths = [length for length in own if isinstance(length, int) and length > 0][:1]
    if not lengths:
        declared = _json(folder / "tokenizer_config.json").get("model_max_length")
        lengths = [int(declared)] if isinstance(declared, int | float) and 0 < declared < _UNLIMITED else []
    return min([*lengths, _positions(folder), 8192])


_MODULE_FILES = (
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_mpnet_config.json",
    "sentence_xlm-roberta_config.json",
)


def _positions(folder: Path) -> int:
    """How many positions a model has for tokens; unlimited where its configuration names none."""
    config = _json(folder / "config.json")
    positions = config.get("max_position_embeddings")
    if not isinstance(positions, int) or positions <= 0 or config.get("position_embedding_type") == "rotary":
        return _UNLIMITED
    # RoBERTa and its kin count positions from behind the padding token's id, so two of them are never used.
    kin = ("roberta", "xlm-roberta", "camembert", "mpnet", "longformer", "xmod", "data2vec-text")
    return positions - 2 if config.get("model_type") in kin else positions


def _document_prompt(folder: Path) -> str:
    prompts = _json(folder / "config_sentence_transformers.json").get("prompts")
    if not isinstance(prompts, dict):
        return ""
    return next((str(prompts[name]) for name in _DOCUMENT_PROMPTS if prompts.get(name)), "")


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} is no valid JSON: {error}") from error
    return value if isinstance(value, dict) else {}
