"""What a store holds, in numbers."""

from pathlib import Path
from typing import Any

from lodestone.components.stores.database import Database
from lodestone.components.stores.files import read_json, size_of
from lodestone.components.stores.settings import StoreSettings

_PARTS = {
    "database": ("passages.sqlite", "passages.sqlite-wal", "passages.sqlite-shm"),
    "vectors": ("vectors.faiss", "vectors.json"),
    "text": ("text",),
}
_LATEST = 3


def collect(database: Database | None, folder: Path, settings: StoreSettings) -> dict[str, Any]:
    """Count what a store holds.

    :param database: Its database, a snapshot of it open; None if the store does not exist.
    :param folder: Its folder.
    :param settings: What it was opened with.
    :returns: `passages`, `documents` (that the passages were cut from, as far as the ledger has them), `vectors`,
        `sources` (files by state), `bytes` (on the disk, by part), `index_type` and `recall` (of the saved vector
        index, the share of the true nearest that it finds; None if there is none, or it was not measured), `dim`,
        `similarity`, `language`, `last_write` (Unix time, seconds; None if never), `last_sources` (root, path and
        Unix time of the files indexed last, newest first).
    """
    counts = dict.fromkeys(("passages", "documents", "vectors"), 0)
    sources, latest, last_write, dim = {}, [], None, settings.embedding_dim
    if database is not None:
        for name, table in (("passages", "passages"), ("documents", "texts"), ("vectors", "vectors")):
            counts[name] = database.execute(f"SELECT count(*) FROM {table}")[0][0]
        sources = dict(database.execute("SELECT state, count(*) FROM sources GROUP BY state ORDER BY state"))
        latest = database.execute(
            "SELECT root, path, indexed_at FROM sources WHERE state = 'indexed' "
            f"ORDER BY indexed_at DESC, root, path LIMIT {_LATEST}"
        )
        written, stored_dim = database.get_property("last_write"), database.get_property("embedding_dim")
        last_write = None if written is None else float(written)
        dim = dim if stored_dim is None else int(stored_dim)
    saved = read_json(folder / "vectors.json") or {}
    return {
        **counts,
        "sources": sources,
        "bytes": {part: sum(size_of(folder / name) for name in names) for part, names in _PARTS.items()},
        "index_type": saved.get("index_type"),
        "recall": saved.get("recall"),
        "dim": dim,
        "similarity": settings.similarity,
        "language": settings.language,
        "last_write": last_write,
        "last_sources": [list(row) for row in latest],
    }
