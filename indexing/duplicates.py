"""Documents that exist more than once: one of them has the passages, the others are its copies."""

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from lodestone.components.stores import SourceRecord
from lodestone.indexing.backlog import Item
from lodestone.indexing.conversion import Conversion

Key = tuple[str, str]


class Duplicates:
    """Knows which of the documents of one identity owns the passages: the first by root and path.

    Who owns what is decided batch by batch, before passages are embedded. A document that comes later and stands before
    the owner takes over, so that in the end the order in which documents came makes no difference. Where an owner is
    lost, its copies are `heirs`, to be converted next.

    All methods may be called from any thread.

    :param known: What the ledger holds of the roots that a job is about, by root and path; heirs from elsewhere are to
        be added to it.
    :param pipeline: Fingerprint of the pipeline: only what was made by the same one can be copies.
    """

    def __init__(self, known: Mapping[Key, SourceRecord], pipeline: str) -> None:
        self._known = known
        self._pipeline = pipeline
        self._owners: dict[str, Key] = {}
        self._copies: dict[str, set[Key]] = {}
        self._written: set[Key] = set()
        self._tried: set[Key] = set()
        self._found: dict[Key, str] = {}
        self._lock = threading.Lock()

    def add(self, record: SourceRecord) -> None:
        """Learn of a document in the ledger.

        :param record: Its record, of any root.
        """
        if not record.identity or record.pipeline != self._pipeline:
            return
        key = (record.root, record.path)
        if record.state == "duplicate":
            self._copies.setdefault(record.identity, set()).add(key)
        elif record.state == "indexed":
            self._owners[record.identity] = min(key, self._owners.get(record.identity, key))

    def is_settled(self, record: SourceRecord) -> bool:
        """Whether a document is still what the ledger says: an owner, or a copy of one that stands before it.

        A copy of nothing is left as it is, too: the first of its identity is an heir.
        """
        owner, key = self._owners.get(record.identity), (record.root, record.path)
        if record.state == "duplicate":
            return owner is None or owner < key
        return not record.identity or owner == key

    def owners_of_copies(self) -> list[Key]:
        """The documents of which there are copies."""
        return [owner for identity in self._copies if (owner := self._owners.get(identity)) is not None]

    def has_copies(self, record: SourceRecord) -> bool:
        """Whether a document is an owner of which there are copies."""
        is_owner = self._owners.get(record.identity) == (record.root, record.path)
        return is_owner and bool(self._copies.get(record.identity))

    def leave(self, keys: Collection[Key]) -> None:
        """Forget documents of the ledger that are gone, or are about to be replaced by others.

        :param keys: Root and path of each.
        """
        with self._lock:
            for key in keys:
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
        owner = self._owners.get(identity)
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

        :returns: One of each identity, by root and path.
        """
        with self._lock:
            found = []
            for identity, copies in self._copies.items():
                first = min(copies - self._tried, default=None)
                owner = self._owners.get(identity)
                if first is not None and (owner is None or first < owner):
                    found.append(first)
            self._tried.update(found)
            return sorted(found)

    def orphans(self) -> list[Key]:
        """Copies of what nobody has the passages of, the first of each identity."""
        return sorted(
            min(copies) for identity, copies in self._copies.items() if copies and identity not in self._owners
        )

    def found(self) -> list[tuple[Key, Key]]:
        """The copies that were found, each with the document whose copy it is."""
        pairs = [(key, self._owners.get(identity)) for key, identity in sorted(self._found.items())]
        return [(key, owner) for key, owner in pairs if owner is not None]

    def is_found(self, key: Key) -> bool:
        """Whether a document was found to be a copy."""
        return key in self._found

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
        copies = self._copies.get(identity, set())
        if conversion.state == "same" and key in copies:
            # It has no passages, whatever the ledger said before: if nobody else has, it is an heir.
            is_noted = before is not None and before.state == "duplicate"
            return conversion if is_noted else self._copy(key, conversion)
        owner = self._owners.get(identity)
        if owner is not None and owner < key:
            return self._copy(key, conversion)
        self._owners[identity] = key
        copies.discard(key)
        self._found.pop(key, None)
        if conversion.state == "converted":
            self._written.add(key)
        if owner is None or owner == key:
            return conversion
        self._copies.setdefault(identity, set()).add(owner)
        if owner in self._written:
            self._written.discard(owner)
            self._found[owner] = identity
        return replace(conversion, replaces=owner)

    def _copy(self, key: Key, conversion: Conversion) -> Conversion:
        self._copies.setdefault(conversion.identity, set()).add(key)
        self._found[key] = conversion.identity
        return replace(conversion, state="duplicate", texts=[], passages=[])

    def _forget(self, key: Key, identity: str) -> None:
        if self._owners.get(identity) == key:
            del self._owners[identity]
        self._copies.get(identity, set()).discard(key)
        self._written.discard(key)
        self._found.pop(key, None)
