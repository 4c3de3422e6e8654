"""Full-text search over a store, and what keeps its index up to date."""

from collections.abc import Callable
from pathlib import Path

from haystack import logging

from lodestone.components.errors import LodestoneError
from lodestone.components.stores.database import Database
from lodestone.components.stores.linked_folder import is_writable
from lodestone.components.stores.passage_table import PassageTable
from lodestone.components.stores.pause import Pause
from lodestone.components.stores.text_index import Rows, TextIndex
from lodestone.components.stores.text_upkeep import TextUpkeep
from lodestone.components.stores.writer_lock import WriterLock

logger = logging.getLogger(__name__)

_CHANGES_AT_ONCE = 512  # written passages whose words are indexed before the write returns
_CHANGES_A_STEP = 5000  # whose words are indexed in the background while others wait


class TextSearch:
    """The text index, brought up to date after writing and before searching, and made again where it is damaged.

    :param folder: The store's folder.
    :param language: Of the texts.
    :param writer_lock: The store's; whoever indexes must hold it.
    :param pause: What indexing in the background waits for.
    """

    def __init__(self, folder: Path, language: str, writer_lock: WriterLock, pause: Pause) -> None:
        self._folder = folder
        self._writer_lock = writer_lock
        self._index = TextIndex(folder, language)
        self._upkeep = TextUpkeep(pause)
        self._warned = False

    def search(self, database: Database, query: str, top_k: int, rows: Rows | None) -> list[tuple[int, float]]:
        """Rows and scores of the passages with a query's words, best first.

        :param database: A snapshot of it must be open.
        :param query: Any text.
        :param top_k: How many at most.
        :param rows: The only rows that may be found, shape (n,), ascending; None for all.
        """
        self._refresh(database)
        fetch = top_k
        while True:
            hits = self._search(database, query, fetch, rows)
            existing = PassageTable(database).existing([row for row, _ in hits])
            kept = [hit for hit in hits if hit[0] in existing]
            # Another process may have committed passages, or not yet removed some, that this snapshot lacks.
            if len(kept) >= top_k or len(hits) < fetch:
                return kept[:top_k]
            fetch *= 2

    def follow(self, database: Database, step: Callable[[], bool]) -> None:
        """Index what was written just now: a little at once, much in the background, so that writing is fast.

        :param database: The store's database.
        :param step: Calls `step` in turn with other threads; False when there is nothing to do.
        """
        if database.sequence - self._index.sequence <= _CHANGES_AT_ONCE:
            self.update(database)
        else:
            self._upkeep.wrote(step)

    def step(self, database: Database) -> bool:
        """Index some of the new text.

        :param database: The store's database.
        :returns: Whether there is more.
        """
        with database.snapshot():
            return not self._index.catch_up(database, _CHANGES_A_STEP)

    def compact(self, database: Database) -> None:
        """Make the index anew, if much of it is of deleted passages. The writer's lock must be held.

        :param database: The store's database; its snapshot must be open.
        """
        if self._index.is_worn:
            self._index.remove()
            self.update(database)

    def save(self) -> None:
        """Let background merges finish, and note the checksums of the files."""
        self._index.save()

    def close(self) -> None:
        """Let go of files and threads."""
        self._index.close()

    def update(self, database: Database) -> None:
        """Index new text. A failure loses nothing: the next search or opening takes it from the database."""
        try:
            with database.snapshot():
                self._index.catch_up(database)
        except (OSError, ValueError) as error:
            logger.warning(
                "the text index of {folder} is behind and will be brought up to date later: {error}. If this is said "
                "again, `lodestone store rebuild` makes it anew",
                folder=str(self._folder),
                error=str(error),
            )
            self._index.close()

    def _search(self, database: Database, query: str, top_k: int, rows: Rows | None) -> list[tuple[int, float]]:
        try:
            return self._index.search(query, top_k, rows)
        except (OSError, ValueError) as error:
            logger.warning("the text index of {folder} is opened again: {error}", folder=self._folder, error=str(error))
        self._index.close()
        self._refresh(database)
        try:
            return self._index.search(query, top_k, rows)
        except (OSError, ValueError) as error:
            advice = "close the process that writes to the store, and search again to have the text index rebuilt"
            if not is_writable(self._folder):
                advice = "search once as a user who may write to the folder, to have the text index rebuilt"
            raise LodestoneError(f"{self._folder / 'text'} cannot be searched ({error}): {advice}") from error

    def _refresh(self, database: Database) -> None:
        """Bring the text index up to date before a search, unless a writer in another process does."""
        problem = self._index.problem(database)
        if problem is None and not self._index.is_behind(database):
            return
        held = self._writer_lock.held
        if not self._writer_lock.try_acquire():
            self._warn(problem)
            return
        try:
            if problem is not None:
                self._index.rebuild(problem)
            self.update(database)
        finally:
            if not held:
                self._index.save()
                self._writer_lock.release()

    def _warn(self, problem: str | None) -> None:
        """Say once that words are missing, where neither this process nor a writer at work will add them."""
        if is_writable(self._folder) or self._warned:
            return
        self._warned = True
        logger.warning(
            "the text index of {folder} {problem}, and this user may not write there: search once as a user who may, "
            "to find everything by its words",
            folder=str(self._folder),
            problem="lacks what was written last" if problem is None else f"is of no use ({problem})",
        )
