"""Documents that exist more than once: one of them has the passages, the others are its copies."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from lodestone.components.stores import SourceRecord
from lodestone.indexing.backlog import Item
from lodestone.indexing.conversion import Conversion
from lodestone.indexing.held import HeldDocuments
from lodestone.indexing.job_tables import JobTables
from lodestone.indexing.key_set import Key, KeySet

# As many copies are converted together when what they were copies of is gone.
_HEIRS = 10_000
_LOAD = """
INSERT OR IGNORE INTO {} (identity, root, path)
SELECT identity, root, path FROM held WHERE state = ? AND identity <> '' AND pipeline = ? ORDER BY identity, root, path
"""
_FIRST_COPIES = """
SELECT copy.root, copy.path FROM (
    SELECT identity, root, path, row_number() OVER (PARTITION BY identity ORDER BY root, path) AS place
    FROM copies WHERE NOT EXISTS (SELECT 1 FROM tried WHERE (tried.root, tried.path) = (copies.root, copies.path))
) AS copy LEFT JOIN owners USING (identity)
WHERE place = 1 AND (owners.root IS NULL OR (copy.root, copy.path) < (owners.root, owners.path))
"""
_ORPHANS = """
SELECT root, path FROM (
    SELECT identity, root, path, row_number() OVER (PARTITION BY identity ORDER BY root, path) AS place FROM copies
) AS copy WHERE place = 1 AND NOT EXISTS (SELECT 1 FROM owners WHERE owners.identity = copy.identity)
ORDER BY root, path
"""


class Duplicates:
    """Knows which of the documents of one identity owns the passages: the first by root and path.

    Who owns what is decided batch by batch, before passages are embedded. A document that comes later and stands before
    the owner takes over, so that in the end the order in which documents came makes no difference. Where an owner is
    lost, its copies are `heirs`, to be converted next.

    All methods may be called from any thread.

    :param tables: Where it is kept.
    :param known: What the ledger holds of the roots that a job is about; heirs from elsewhere are to be added to it.
    :param pipeline: Fingerprint of the pipeline: only what was made by the same one can be copies.
    """

    def __init__(self, tables: JobTables, known: HeldDocuments, pipeline: str) -> None:
        self._tables = tables
        self._known = known
        self._pipeline = pipeline
        self._written = KeySet(tables, "written")
        self._tried = KeySet(tables, "tried")
        self._lock = tables.lock

    def load(self) -> None:
        """Learn of the documents in the ledger, of any root."""
        # In the order of identities, not of paths: each goes behind the last, and that is many times as fast.
        for table, state in (("owners", "indexed"), ("copies", "duplicate")):
            self._tables.run(_LOAD.format(table), (state, self._known.pipeline(self._pipeline)))

    def is_settled(self, record: SourceRecord) -> bool:
        """Whether a document is still what the ledger says: an owner, or a copy of one that stands before it.

        A copy of nothing is left as it is, too: the first of its identity is an heir.
        """
        owner, key = self._owner(record.identity), (record.root, record.path)
        if record.state == "duplicate":
            return owner is None or owner < key
        return not record.identity or owner == key

    def has_copies(self, record: SourceRecord) -> bool:
        """Whether a document is an owner of which there are copies."""
        is_owner = self._owner(record.identity) == (record.root, record.path)
        sql = "SELECT 1 FROM copies WHERE identity = ? LIMIT 1"
        return is_owner and self._tables.row(sql, (record.identity,)) is not None

    def leave(self, keys: Iterable[Key]) -> None:
        """Forget documents of the ledger that are gone, or are about to be replaced by others.

        :param keys: Root and path of each.
        """
        for key in keys:
            with self._lock:
                if (record := self._known.get(key)) is not None:
                    self._forget(key, record.identity)

    def lose(self, key: Key, identity: str) -> None:
        """Forget a document that was settled and could not be written.

        :param key: Its root and path.
        :param identity: Its identity.
        """
        with self._lock:
            self._forget(key, identity)

    def owner_before(self, key: Key, identity: str) -> Key | None:
        """The owner of a document's identity, if that is another one, which stands before it.

        :param key: Root and path of the document.
        :param identity: Its identity.
        """
        owner = self._owner(identity)
        return owner if owner is not None and owner < key else None

    def settle(self, batch: Sequence[Item]) -> list[Item]:
        """Decide which documents of a batch are copies.

        :param batch: Documents that are converted, not embedded.
        :returns: The same, by root and path; of copies nothing is left to embed.
        """
        with self._lock:
            return [
                (task, self._settled(task.key, conversion))
                for task, conversion in sorted(batch, key=lambda item: item[0].key)
            ]

    def heirs(self) -> list[Key]:
        """The copies to convert next, as nobody before them has their passages; each is named once.

        :returns: One of each identity, by root and path; some, where there are very many.
        """
        with self._lock:
            rows = self._tables.rows(f"{_FIRST_COPIES} LIMIT {_HEIRS}")
            found = sorted((root, path) for root, path in rows)
            self._tried.update(found)
            return found

    def orphans(self) -> Iterator[Key]:
        """Copies of what nobody has the passages of, the first of each identity, by root and path."""
        yield from self._tables.rows(_ORPHANS)

    def found(self) -> Iterator[tuple[Key, Key]]:
        """The copies that were found, each with the document whose copy it is, by root and path."""
        sql = "SELECT found.root, found.path, owners.root, owners.path FROM found_copies AS found "
        for *key, root, path in self._tables.rows(f"{sql} JOIN owners USING (identity) ORDER BY 1, 2"):
            yield (key[0], key[1]), (root, path)

    def is_found(self, key: Key) -> bool:
        """Whether a document was found to be a copy."""
        return self._tables.row("SELECT 1 FROM found_copies WHERE root = ? AND path = ?", key) is not None

    def _settled(self, key: Key, conversion: Conversion) -> Conversion:
        before = self._known.get(key)
        if conversion.state not in ("converted", "same"):
            self._tried.add(key)
            if conversion.state == "failed" and before is not None:
                self._forget(key, before.identity)
            if conversion.state == "unreadable" and (before is None or before.state == "failed"):
                return replace(conversion, state="failed")  # nothing is held of it that could stay
            return conversion
        identity = conversion.identity
        if before is not None and before.identity != identity:
            self._forget(key, before.identity)
        if conversion.state == "same" and self._is_copy(key, identity):
            # It has no passages, whatever the ledger said before: if nobody else has, it is an heir.
            is_noted = before is not None and before.state == "duplicate"
            return conversion if is_noted else self._as_copy(key, conversion)
        owner = self._owner(identity)
        if owner is not None and owner < key:
            return self._as_copy(key, conversion)
        self._tables.run("INSERT OR REPLACE INTO owners VALUES (?, ?, ?)", (identity, *key))
        self._tables.run("DELETE FROM copies WHERE (identity, root, path) = (?, ?, ?)", (identity, *key))
        self._tables.run("DELETE FROM found_copies WHERE (root, path) = (?, ?)", key)
        if conversion.state == "converted":
            self._written.add(key)
        if owner is None or owner == key:
            return conversion
        self._tables.run("INSERT OR IGNORE INTO copies VALUES (?, ?, ?)", (identity, *owner))
        if owner in self._written:
            self._written.discard(owner)
            self._note_found(owner, identity)
        return replace(conversion, replaces=owner)

    def _as_copy(self, key: Key, conversion: Conversion) -> Conversion:
        self._tables.run("INSERT OR IGNORE INTO copies VALUES (?, ?, ?)", (conversion.identity, *key))
        self._note_found(key, conversion.identity)
        return replace(conversion, state="duplicate", texts=[], passages=[])

    def _note_found(self, key: Key, identity: str) -> None:
        self._tables.run("INSERT OR REPLACE INTO found_copies VALUES (?, ?, ?)", (*key, identity))

    def _owner(self, identity: str) -> Key | None:
        row = self._tables.row("SELECT root, path FROM owners WHERE identity = ?", (identity,))
        return None if row is None else (row[0], row[1])

    def _is_copy(self, key: Key, identity: str) -> bool:
        sql = "SELECT 1 FROM copies WHERE (identity, root, path) = (?, ?, ?)"
        return self._tables.row(sql, (identity, *key)) is not None

    def _forget(self, key: Key, identity: str) -> None:
        self._tables.run("DELETE FROM owners WHERE (identity, root, path) = (?, ?, ?)", (identity, *key))
        self._tables.run("DELETE FROM copies WHERE (identity, root, path) = (?, ?, ?)", (identity, *key))
        self._written.discard(key)
        self._tables.run("DELETE FROM found_copies WHERE (root, path) = (?, ?)", key)
