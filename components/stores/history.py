"""A database that is older than the indexes derived from it."""

import shutil
from pathlib import Path

from haystack import logging

from lodestone.components.stores.database import Database
from lodestone.components.stores.files import DERIVED, read_json
from lodestone.components.stores.saved_vectors import remove_vectors
from lodestone.components.stores.writer_lock import WriterLock

logger = logging.getLogger(__name__)


def remove_newer_indexes(database: Database, folder: Path, lock: WriterLock) -> None:
    """Throw derived indexes away that hold more than the database, unless another process is writing.

    The database was put back from an older copy, or the end of its log is gone. Its next writes take sequence numbers
    that the indexes have seen already, with other passages: by number alone they would seem to be up to date.

    :param database: The store's database, just opened.
    :param folder: The store's folder.
    :param lock: The store's.
    """
    held = lock.held
    if _surplus(database, folder) <= 0 or not lock.try_acquire():
        return
    try:
        surplus = _surplus(database, folder)  # a writer may just have ended
        if surplus > 0:
            logger.warning(
                "{path} lacks the last {count} changes that its search indexes have seen: it was put back from an "
                "older copy, or the end of passages.sqlite-wal is gone. The indexes are made again from what it holds",
                path=str(database.path),
                count=surplus,
            )
            remove_indexes(folder)
    finally:
        if not held:
            lock.release()


def _surplus(database: Database, folder: Path) -> int:
    """How many changes more than the database the newest index has seen."""
    notes = [about for name in DERIVED if (about := read_json(folder / name)) is not None]
    store_id = database.get_property("store_id")
    newest = max((int(about["sequence"]) for about in notes if about.get("store_id") == store_id), default=0)
    return newest - database.sequence


def remove_indexes(folder: Path) -> None:
    """Throw all derived indexes away.

    :param folder: The store's folder. The writer's lock must be held.
    """
    remove_vectors(folder)
    shutil.rmtree(folder / "text", ignore_errors=True)
