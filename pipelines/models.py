"""An index belongs to the embedding model that made it: vectors of two models cannot be compared."""

import json
from typing import Any

from lodestone.components.errors import ConfigurationError

EMBEDDING_MODEL = "embedding_model"
"""The setting of a store that names the model."""


def check_embedding_model(store: Any, embedder: Any) -> None:
    """Refuse to use an index with another embedding model than the one that made it.

    :param store: The document store; one without `get_setting` is not checked.
    :param embedder: The pipeline's embedder; None, or one without a `fingerprint`, is not checked.
    :raises ConfigurationError: If the models differ.
    """
    if not hasattr(store, "get_setting") or not hasattr(embedder, "fingerprint") or not store.exists():
        return
    recorded = store.get_setting(EMBEDDING_MODEL)
    if recorded is None:
        return
    made_with = json.loads(recorded)
    if made_with["fingerprint"] == embedder.fingerprint:
        return
    raise ConfigurationError(
        f"the index {store.path} was made with the embedding model {made_with['model']}, but the pipeline embeds with "
        f"{_named(embedder.model, made_with['model'])}; use that model, or another --index"
    )


def remember_embedding_model(store: Any, embedder: Any) -> None:
    """Record in an index which embedding model makes it.

    :param store: The document store.
    :param embedder: The pipeline's embedder; None, or one without a `fingerprint`, is not recorded.
    """
    if (
        hasattr(store, "set_setting")
        and hasattr(embedder, "fingerprint")
        and store.get_setting(EMBEDDING_MODEL) is None
    ):
        store.set_setting(EMBEDDING_MODEL, json.dumps({"model": embedder.model, "fingerprint": embedder.fingerprint}))


def _named(model: str, other: str) -> str:
    return f"other weights of {model}" if model == other else model
