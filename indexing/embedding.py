"""Embedding the passages of many documents together."""

from array import array
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from haystack import Document

# Python's lists of floats take eight times the room of the floats: no more passages than this are held as such.
_AT_A_TIME = 4096


def warm_up(embedder: Any) -> None:
    """Load an embedder's model.

    :param embedder: A component that embeds documents, which may load its model by itself; or None.
    """
    load = getattr(embedder, "warm_up", None)
    if load is not None:
        load()


def embed(
    embedder: Any, passages: list[Document], tell: Callable[[int], None] = lambda embedded: None
) -> list[Document]:
    """Embed passages.

    :param embedder: A component that embeds documents, warmed up; None for a pipeline without one.
    :param passages: Any number.
    :param tell: Called after each part of them with its number of passages.
    :returns: The passages in the same order, with embeddings of float32.
    """
    if embedder is None:
        tell(len(passages))
        return passages
    embedded: list[Document] = []
    for start in range(0, len(passages), _AT_A_TIME):
        for document in embedder.run(documents=passages[start : start + _AT_A_TIME])["documents"]:
            embedding = cast("list[float]", array("f", document.embedding))
            embedded.append(replace(document, embedding=embedding))
        tell(len(embedded) - start)
    return embedded
