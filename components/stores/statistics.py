"""What a store holds, in numbers."""

from pathlib import Path
from typing import Any

from lodestone.components.stores.database import Database
from lodestone.components.stores.files import size_of
from lodestone.components.stores.settings import StoreSettings
from lodestone.components.stores.vector_index import INDEX_TYPE

_PARTS = {
    "database": ("passages.sqlite", "passages.sqlite-wal", "passages.sqlite-shm"),
    "vectors": ("vectors.faiss", "vectors.json"),
    "text": ("text",),
}


def collect(database: Database | None, folder: Path, settings: StoreSettings) -> dict[str, Any]:
    """Count what a store holds.

    :param database: Its database, a snapshot of it open; None if the store does not exist.
    :param folder: Its folder.
    :param settings: What it was opened with.
    :returns: `passages`, `vectors`, `sources` (files by state), `bytes` (on the disk, by part), `index_type`, `dim`,
        `similarity`, `language`, `last_write` (Unix time, seconds; None if never).
    """
    passages, vectors, sources, last_write, dim = 0, 0, {}, None, settings.embedding_dim
    if database is not None:
        passages = database.execute("SELECT count(*) FROM passages")[0][0]
        vectors = database.execute("SELECT count(*) FROM vectors")[0][0]
        sources = dict(database.execute("SELECT state, count(*) FROM sources GROUP BY state ORDER BY state"))
        written, stored_dim = database.get_property("last_write"), database.get_property("embedding_dim")
        last_write = None if written is None else float(written)
        dim = dim if stored_dim is None else int(stored_dim)
    return {
        "passages": passages,
        "vectors": vectors,
        "sources": sources,
        "bytes": {part: sum(size_of(folder / name) for name in names) for part, names in _PARTS.items()},
        "index_type": INDEX_TYPE,
        "dim": dim,
        "similarity": settings.similarity,
        "language": settings.language,
        "last_write": last_write,
    }
