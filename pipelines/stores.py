"""The document store behind a pipeline definition, and what it holds."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lodestone.components.errors import ConfigurationError
from lodestone.components.stores import FaissDocumentStore
from lodestone.components.stores.source_store import SourceStore
from lodestone.components.stores.writer_lock import running_owner
from lodestone.pipelines.loader import load_pipeline
from lodestone.pipelines.models import EMBEDDING_MODEL

if TYPE_CHECKING:
    from lodestone.components.stores.elasticsearch import ElasticsearchStore


def open_store(pipeline: str, index: str | os.PathLike[str] | None, *, elsewhere: str) -> FaissDocumentStore:
    """The store in a folder of a pipeline; there must be an index in it.

    :param pipeline: Path or shipped name of a definition.
    :param index: Folder to use instead of the definition's own; None for that.
    :param elsewhere: What to do instead with a store that is no folder.
    :raises ConfigurationError: If the pipeline has no such store, or there is no index.
    """
    for store in _stores(pipeline, index):
        if isinstance(store, FaissDocumentStore):
            require_index(store)
            return store
    raise ConfigurationError(
        f"{pipeline} has no FaissDocumentStore, and this command looks after no other: {elsewhere}"
    )


def open_portable(pipeline: str, index: str | os.PathLike[str] | None) -> "FaissDocumentStore | ElasticsearchStore":
    """The store of a pipeline that can be exported and imported, of either kind, whether there is an index or not.

    :param pipeline: Path or shipped name of a definition.
    :param index: Folder or name to use instead of the definition's own; None for that.
    :raises ConfigurationError: If the pipeline has no such store.
    """
    for store in _stores(pipeline, index):
        if hasattr(store, "export_to"):
            found: FaissDocumentStore | ElasticsearchStore = store
            return found
    raise ConfigurationError(f"{pipeline} has no FaissDocumentStore and no ElasticsearchStore")


def open_index(pipeline: str, index: str | os.PathLike[str] | None) -> SourceStore:
    """The store of a pipeline with its ledger of files, of either kind; there must be an index in it.

    :param pipeline: Path or shipped name of a definition.
    :param index: Folder or name to use instead of the definition's own; None for that.
    :raises ConfigurationError: If the pipeline has no such store, or there is no index.
    """
    for store in _stores(pipeline, index):
        if isinstance(store, SourceStore):
            require_index(store)
            return store
    raise ConfigurationError(f"{pipeline} has no store with a ledger of files")


def _stores(pipeline: str, index: str | os.PathLike[str] | None) -> Iterator[Any]:
    loaded = load_pipeline(pipeline, index=index)
    for name in loaded.graph.nodes:
        yield getattr(loaded.get_component(name), "document_store", None)


def require_index(store: Any, *, filled: bool = False) -> None:
    """Refuse to go on without an index.

    :param store: The document store; one that cannot say whether it exists passes.
    :param filled: Whether it must hold passages.
    :raises ConfigurationError: If there is none, or it is empty and must not be.
    """
    if not hasattr(store, "exists"):
        return
    if not store.exists():
        raise ConfigurationError(f"there is no index in {store.path}; make one with `lodestone index PATH`")
    if filled and store.count_documents() == 0:
        raise ConfigurationError(f"the index {store.path} holds no passages; fill it with `lodestone index PATH`")


def describe(store: SourceStore) -> dict[str, Any]:
    """What an index holds, as plain values in the order in which people ask for it."""
    figures = store.statistics()
    recorded = store.get_setting(EMBEDDING_MODEL)
    last_write, last_sources = figures.pop("last_write"), figures.pop("last_sources")
    return {
        "index": str(store.path),
        **figures,
        "embedding_model": json.loads(recorded)["model"] if recorded else None,
        "roots": store.roots(),
        "last_write": _time(last_write) if last_write else None,
        "last_indexed": {f"{root}/{path}": _time(indexed_at) for root, path, indexed_at in last_sources},
        "writer": running_owner(Path(store.path)),
        "failed": {
            f"{record.root}/{record.path}": record.error for record in store.sources() if record.error is not None
        },
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
