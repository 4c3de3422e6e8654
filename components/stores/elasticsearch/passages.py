"""Documents as Elasticsearch stores them."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from haystack import Document
from haystack.dataclasses import ByteStream, SparseEmbedding

from lodestone.components.errors import ConfigurationError
from lodestone.components.passages import headings_of
from lodestone.components.stores.elasticsearch.values import indexed_values
from lodestone.components.stores.encoding import clean_text, decode_meta, encode_meta
from lodestone.components.stores.passage_table import Vector, to_vector

STORED = ["content", "meta", "extra.score", "extra.blob", "extra.sparse_embedding"]
"""What of a stored passage makes the document, without its embedding."""
EMBEDDING = ["embedding", "extra.embedding"]
"""Its embedding, also one without length, which Elasticsearch cannot compare by angle and refuses to index."""
_LONGEST_ID = 512  # bytes, Elasticsearch's limit


def to_vector_of(document: Document) -> Vector | None:
    """A document's embedding, shape (dim,), float32; None if it has none."""
    return None if document.embedding is None else to_vector(document.embedding, f"document {document.id!r}")


def to_source(document: Document, vector: Vector | None, similarity: str) -> bytes:
    """A document as it is stored.

    :param document: The document.
    :param vector: Its embedding, of `to_vector_of`.
    :param similarity: That of the index; by "cosine" a vector without length is kept beside the index.
    :returns: JSON, on one line.
    :raises ConfigurationError: If its id is too long, or its metadata is no JSON.
    """
    if not document.id or len(document.id.encode("utf-8", "surrogatepass")) > _LONGEST_ID:
        raise ConfigurationError(f"a document's id must have 1 to {_LONGEST_ID} bytes, got {document.id!r:.80}")
    try:
        meta = encode_meta(document.meta)
    except ConfigurationError as error:
        raise ConfigurationError(f"document {document.id!r}: {error}") from error
    source: dict[str, Any] = {}
    if document.content is not None:
        source["content"] = clean_text(document.content)
    headings = headings_of(document.meta)
    if headings:
        source["headings"] = [clean_text(heading) for heading in headings]
    source |= indexed_values(json.loads(meta))
    extra = _extra(document)
    if vector is not None and similarity == "cosine" and not _has_length(vector):
        extra["embedding"] = vector.tolist()
        vector = None
    if extra:
        source["extra"] = extra
    text = json.dumps(source, ensure_ascii=False, separators=(",", ":"))
    parts = [text[1:-1], f'"meta":{meta}', "" if vector is None else f'"embedding":{_vector_json(vector)}']
    return f"{{{','.join(part for part in parts if part)}}}".encode()


def to_document(hit: Mapping[str, Any], score: float | None = None) -> Document:
    """The document that was stored.

    :param hit: A hit of a search, with `STORED`, and `EMBEDDING` where that is wanted.
    :param score: Its score; None for the one that it was stored with.
    """
    source = hit["_source"]
    extra = source.get("extra", {})
    blob = sparse = None
    if "blob" in extra:
        about = extra["blob"]
        data = base64.b64decode(about["data"])
        blob = ByteStream(data=data, meta=decode_meta(about["meta"]), mime_type=about["mime_type"])
    if "sparse_embedding" in extra:
        sparse = SparseEmbedding.from_dict(extra["sparse_embedding"])
    embedding = source.get("embedding", extra.get("embedding"))
    return Document(
        id=hit["_id"],
        content=source.get("content"),
        blob=blob,
        meta=decode_meta(json.dumps(source.get("meta", {}))),
        score=extra.get("score") if score is None else score,
        embedding=None if embedding is None else np.asarray(embedding, dtype=np.float32).tolist(),
        sparse_embedding=sparse,
    )


def _has_length(vector: Vector) -> bool:
    """Whether a vector's length, squared, is more than a float32 can tell from 0."""
    wide = vector.astype(np.float64)
    return bool(np.dot(wide, wide) >= np.finfo(np.float32).smallest_normal)


def _extra(document: Document) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    if document.score is not None:
        extra["score"] = float(document.score)
    if document.blob is not None:
        extra["blob"] = {
            "data": base64.b64encode(document.blob.data).decode(),
            "mime_type": document.blob.mime_type,
            "meta": encode_meta(document.blob.meta),
        }
    if document.sparse_embedding is not None:
        extra["sparse_embedding"] = document.sparse_embedding.to_dict()
    return extra


def _vector_json(vector: Vector) -> str:
    # Nine digits tell all float32 numbers apart; Python's own text of them has up to seventeen.
    return "[" + ("%.9g," * vector.size % tuple(vector.tolist()))[:-1] + "]"
