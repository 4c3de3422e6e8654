"""The part of a store that knows which files were indexed."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from haystack import Document

from lodestone.components.stores.core import StoreCore
from lodestone.components.stores.database import Database
from lodestone.components.stores.ledger import Ledger, checked_passages
from lodestone.components.stores.open_stores import core_of
from lodestone.components.stores.passage_table import VECTOR_ITEM_BYTES, PassageRow
from lodestone.components.stores.records import SourceRecord, SourceText
from lodestone.components.stores.settings import StoreSettings


class LedgerStore:
    """The ledger of files, the folders they came from, and free settings, beside the passages in one folder.

    :param path: The folder.
    :param settings: What the store is created with, and must have been created with.
    """

    def __init__(self, path: str | Path, settings: StoreSettings) -> None:
        self._settings = settings
        # A relative path is taken from where the process is now, also if it changes its folder later.
        self._folder = Path(os.path.realpath(path))

    def exists(self) -> bool:
        """Whether anything was ever written to the folder."""
        return (self._folder / "passages.sqlite").is_file()

    def write_source(self, record: SourceRecord, texts: list[SourceText], passages: list[Document]) -> None:
        """Replace all that the store has of one file, in one transaction. See `write_sources`."""
        self.write_sources([(record, texts, passages)])

    def write_sources(self, sources: Sequence[tuple[SourceRecord, list[SourceText], list[Document]]]) -> None:
        """Replace all that the store has of some files, in one transaction.

        The files' other passages and texts are deleted; a passage that is stored just so is left as it is.

        :param sources: For each file its record, its texts, and its passages, whose meta must name it by `root` and
            `source`.
        :raises ConfigurationError: If a passage cannot be stored or names another file.
        :raises LodestoneError: If another process is writing.
        """
        checked = [(record, texts, checked_passages(record, passages)) for record, texts, passages in sources]
        if not checked:
            return
        with self._writing(row for _, _, rows in checked for row in rows) as database:
            ledger = Ledger(database)
            for record, texts, rows in checked:
                ledger.write(record, texts, rows)

    def touch_sources(self, records: Iterable[SourceRecord]) -> None:
        """Update ledger rows only, as for a file whose time has changed and whose bytes have not.

        :param records: They replace those of the same root and path.
        """
        with self._core.writing() as database:
            Ledger(database).touch(records)

    def delete_sources(self, sources: Sequence[tuple[str, str]]) -> int:
        """Delete files with their texts and passages, in one transaction.

        :param sources: Root and path of each.
        :returns: How many passages were deleted.
        """
        if not sources or not self.exists():
            return 0
        with self._core.writing() as database:
            return Ledger(database).delete(sources)

    def sources(self, root: str | None = None, prefix: str = "") -> Iterator[SourceRecord]:
        """The files of the ledger, by root and path; the store may be written to meanwhile.

        :param root: Only of this root; None for all.
        :param prefix: Only paths that start so.
        """
        last = ("", "")
        while True:
            with self._core.reading() as database:
                records = [] if database is None else Ledger(database).page(root, prefix, last)
            if not records:
                return
            yield from records
            last = (records[-1].root, records[-1].path)

    def source(self, root: str, path: str) -> SourceRecord | None:
        """One file of the ledger; None if it is not there.

        :param root: Name of its root.
        :param path: Its path in it.
        """
        with self._core.reading() as database:
            return None if database is None else Ledger(database).record(root, path)

    def copies(self, root: str, path: str) -> list[tuple[str, str]]:
        """The other files with the same content, type and metadata as a file.

        :param root: Name of the file's root.
        :param path: Its path in it.
        :returns: Root and path of each, in this order; [] for a file that is not in the ledger.
        """
        with self._core.reading() as database:
            return [] if database is None else Ledger(database).copies(root, path)

    def source_text(self, source_id: str) -> str | None:
        """The converted text of a document, in which its passages' offsets count; None if it is not stored.

        :param source_id: What the passages have as `meta["source_id"]`.
        """
        with self._core.reading() as database:
            return None if database is None else Ledger(database).text(source_id)

    def roots(self) -> dict[str, str]:
        """Names of the folders that were indexed, with their absolute paths."""
        with self._core.reading() as database:
            return {} if database is None else dict(database.execute("SELECT name, path FROM roots ORDER BY name"))

    def set_root(self, name: str, absolute_path: str) -> None:
        """Remember where a root is.

        :param name: Its name.
        :param absolute_path: Its folder.
        """
        with self._core.writing() as database:
            database.execute("INSERT OR REPLACE INTO roots (name, path) VALUES (?, ?)", (name, absolute_path))

    def forget_root(self, name: str) -> None:
        """Forget where a root is; its files are not touched."""
        with self._core.writing() as database:
            database.execute("DELETE FROM roots WHERE name = ?", (name,))

    def get_setting(self, key: str) -> str | None:
        """A free setting, such as the embedding model's name; None if it was never set."""
        with self._core.reading() as database:
            rows = [] if database is None else database.execute("SELECT value FROM settings WHERE key = ?", (key,))
        return rows[0][0] if rows else None

    def set_setting(self, key: str, value: str) -> None:
        """Store a free setting."""
        with self._core.writing() as database:
            database.execute("INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)", (key, value))

    def settings(self, prefix: str) -> dict[str, str]:
        """Free settings, in the order of their keys.

        :param prefix: Only those whose keys start so.
        """
        sql = "SELECT key, value FROM settings WHERE substr(key, 1, ?) = ? ORDER BY key"
        with self._core.reading() as database:
            return {} if database is None else dict(database.execute(sql, (len(prefix), prefix)))

    def forget_setting(self, key: str) -> None:
        """Forget a free setting, if there is one."""
        with self._core.writing() as database:
            database.execute("DELETE FROM settings WHERE key = ?", (key,))

    @property
    def _core(self) -> StoreCore:
        return core_of(self._folder, self._settings)

    @contextlib.contextmanager
    def _writing(self, rows: Iterable[PassageRow]) -> Iterator[Database]:
        """A transaction for writing rows, whose vectors are of one length: the store's."""
        ids_by_dim: dict[int, str] = {}
        for row in rows:
            if row[-1] is not None:
                ids_by_dim.setdefault(len(row[-1]) // VECTOR_ITEM_BYTES, row[0])
        self._settings.check_dims(ids_by_dim)
        with self._core.writing() as database:
            self._settings.adopt_dim(database, ids_by_dim)
            yield database
