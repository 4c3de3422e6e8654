"""A database that is older than the indexes derived from it."""

import uuid
from pathlib import Path

from haystack import logging

from lodestone.components.stores.database import Database
from lodestone.components.stores.files import read_json

logger = logging.getLogger(__name__)

_NOTES = ("vectors.json", "text/lodestone.json")


def leave_newer_indexes(database: Database, folder: Path) -> None:
    """Disown derived indexes that hold more than the database, before anything is written to it.

    The database was put back from an older copy, or the end of its log is gone. Its next writes take sequence numbers
    that the indexes have seen already, with other passages: by number alone they would seem to be up to date.

    :param database: The store's database. The writer's lock must be held.
    :param folder: The store's folder.
    """
    store_id, sequence = database.get_property("store_id"), database.sequence
    notes = [about for name in _NOTES if (about := read_json(folder / name)) is not None]
    newest = max((about["sequence"] for about in notes if about.get("store_id") == store_id), default=0)
    if newest <= sequence:
        return
    logger.warning(
        "{path} lacks the last {count} changes that its search indexes have seen: it was put back from an older copy, "
        "or the end of passages.sqlite-wal is gone. The indexes are made again from what it holds",
        path=str(database.path),
        count=newest - sequence,
    )
    with database.transaction():
        database.set_property("store_id", uuid.uuid4().hex)
