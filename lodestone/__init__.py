"""Lodestone answers questions from documents with exact, located, calibrated quotes."""

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

from lodestone.delayed_torch import delay_torch

__version__ = "0.1.0"

if TYPE_CHECKING:
    from lodestone.components.embedders import PassageEmbedder, TextEmbedder
    from lodestone.components.readers import ExtractiveReader
    from lodestone.components.readers.registration import register
    from lodestone.components.retrievers import FaissBM25Retriever, FaissEmbeddingRetriever, FaissHybridRetriever
    from lodestone.components.retrievers.elasticsearch_bm25_retriever import (
        ElasticsearchBM25Retriever as ElasticsearchBM25Retriever,
    )
    from lodestone.components.retrievers.elasticsearch_embedding_retriever import (
        ElasticsearchEmbeddingRetriever as ElasticsearchEmbeddingRetriever,
    )
    from lodestone.components.retrievers.elasticsearch_hybrid_retriever import (
        ElasticsearchHybridRetriever as ElasticsearchHybridRetriever,
    )
    from lodestone.components.splitters import PassageSplitter
    from lodestone.components.stores import FaissDocumentStore
    from lodestone.components.stores.elasticsearch import (
        ElasticsearchStore as ElasticsearchStore,
    )

_MODULES = {
    "ElasticsearchBM25Retriever": "lodestone.components.retrievers.elasticsearch_bm25_retriever",
    "ElasticsearchEmbeddingRetriever": "lodestone.components.retrievers.elasticsearch_embedding_retriever",
    "ElasticsearchHybridRetriever": "lodestone.components.retrievers.elasticsearch_hybrid_retriever",
    "ElasticsearchStore": "lodestone.components.stores.elasticsearch",
    "ExtractiveReader": "lodestone.components.readers",
    "FaissBM25Retriever": "lodestone.components.retrievers",
    "FaissDocumentStore": "lodestone.components.stores",
    "FaissEmbeddingRetriever": "lodestone.components.retrievers",
    "FaissHybridRetriever": "lodestone.components.retrievers",
    "PassageEmbedder": "lodestone.components.embedders",
    "PassageSplitter": "lodestone.components.splitters",
    "TextEmbedder": "lodestone.components.embedders",
    "register": "lodestone.components.readers.registration",
}

# What needs an extra is not imported by a star.
__all__ = [
    "ExtractiveReader",
    "FaissBM25Retriever",
    "FaissDocumentStore",
    "FaissEmbeddingRetriever",
    "FaissHybridRetriever",
    "PassageEmbedder",
    "PassageSplitter",
    "TextEmbedder",
    "register",
]


def _silence_telemetry() -> None:
    """Keep the libraries that report usage home from doing so, unless `LODESTONE_TELEMETRY=1` allows it.

    Haystack reads its variable when it is first imported, and is told again if that was before us. OpenVINO and NNCF
    report whenever `openvino_telemetry` can be imported, and have no switch of their own.
    """
    if os.environ.get("LODESTONE_TELEMETRY", "0") == "1":
        return
    loaded = sys.modules.get("haystack.telemetry._telemetry")
    if loaded is not None and "HAYSTACK_TELEMETRY_ENABLED" not in os.environ:
        loaded.telemetry = None  # type: ignore[attr-defined]
    os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    if "openvino_telemetry" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]


_silence_telemetry()
delay_torch()


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import lodestone` and `lodestone --help` stay fast."""
    if name not in _MODULES:
        raise AttributeError(f"module 'lodestone' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
