"""Indexes on metadata that is filtered often."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from haystack import logging

from lodestone.components.errors import ConfigurationError, LodestoneError
from lodestone.components.stores.fields import StoredField, stored_field
from lodestone.components.stores.filters import CompiledFilter, compile_filter
from lodestone.components.stores.writer_lock import WriterLock

if TYPE_CHECKING:
    from lodestone.components.stores.database import Database

logger = logging.getLogger(__name__)

OFTEN = 10  # filters that name a field, in one process
LARGE = 20_000  # passages from which on scanning their metadata takes noticeable time
HUGE = 2_000_000  # passages from which on making an index takes so long that it is left to `index_metadata`
MOST = 8  # indexes that are made unasked, as each slows writing down
_NAMES = {"value": "filter:", "clock": "filter as date:"}


class MetadataIndexes:
    """The indexes on metadata of one database, and what they tell of the stored values.

    :param database: The store's database. A snapshot or transaction of it must be open for every call.
    """

    def __init__(self, database: "Database") -> None:
        self._database = database
        self._uses: Counter[tuple[str, str]] = Counter()
        self._seen: set[tuple[str, str]] = set()  # by the filter that is being compiled
        self._names: set[str] = set()

    def compile(self, filters: dict[str, Any] | None) -> CompiledFilter:
        """Compile a filter for the indexes that there are, and count the fields that it names.

        :param filters: Haystack filters.
        :raises FilterError: If the filter is malformed.
        """
        if not filters:
            return compile_filter(filters)
        self._names = set(self.names())
        self._seen = set()
        compiled = compile_filter(filters, self)
        self._uses.update(self._seen)
        return compiled

    def index_of(self, where: StoredField, what: str) -> bool:
        """Whether there is an index on a field's "value" or "clock"."""
        if not where.keys:
            return False
        self._seen.add((".".join(where.keys), what))
        return _name(where, what) in self._names

    def only_numbers(self, where: StoredField) -> bool:
        """Whether a field is indexed and its values are only numbers, or None."""
        # Texts are greater than all numbers; lists and dictionaries have their JSON as their value.
        return bool(where.keys) and self.index_of(where, "value") and not self._exists(f"{where.value} >= ''")

    def only_dates(self, where: StoredField) -> str:
        """Which kinds of dates a field has, "" if it has other values too or no index."""
        if not where.keys or not self.index_of(where, "clock") or self._exists(f"{where.clock} = 'x'"):
            return ""
        return "".join(kind for kind in "nu" if self._exists(f"{where.clock} BETWEEN '{kind}' AND '{kind}~'"))

    def _exists(self, condition: str) -> bool:
        return bool(self._database.execute(f"SELECT EXISTS (SELECT 1 FROM passages WHERE {condition})")[0][0])

    def names(self) -> list[str]:
        """Names of the indexes."""
        rows = self._database.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE 'filter%:%'")
        return [name for (name,) in rows]

    def wanted(self) -> list[tuple[str, str]]:
        """Fields, and what of them, that were filtered often and are to have an index now."""
        often = [use for use, count in self._uses.most_common() if count >= OFTEN]
        if not often:
            return []
        for use in often:
            del self._uses[use]  # to be thought of again after as many filters
        names = self.names()
        new = [use for use in often if _name(stored_field(f"meta.{use[0]}"), use[1]) not in names]
        if not new or not LARGE <= self._database.execute("SELECT count(*) FROM passages")[0][0] <= HUGE:
            return []
        return new[: max(0, MOST - len(names))]

    def create(self, uses: Sequence[tuple[str, str]]) -> None:
        """Make indexes that do not exist yet. A transaction must be open.

        :param uses: Fields, and "value" or "clock" each.
        :raises ConfigurationError: If there can be no index on a field.
        """
        for name, what in uses:
            where = stored_field(f"meta.{name}")
            if not where.keys:
                raise ConfigurationError(
                    f"there can be no index on {name!r}: its name has quotes or control characters"
                )
            quoted = _name(where, what).replace('"', '""')
            self._database.execute(f'CREATE INDEX IF NOT EXISTS "{quoted}" ON passages ({getattr(where, what)})')

    def holds_dates(self, name: str) -> bool:
        """Whether a field has a value that is a date."""
        clock = stored_field(f"meta.{name}").clock
        return clock is not None and self._exists(f"{clock} BETWEEN 'n' AND 'v'")


def create_wanted(database: "Database", lock: WriterLock) -> None:
    """Make the indexes that many filters would use, unless another process is writing or this one may not.

    :param database: No transaction of it may be open.
    :param lock: The store's lock for writers.
    """
    held = lock.held
    wanted = database.metadata_indexes.wanted()
    if not wanted:
        return
    try:
        if lock.try_acquire():
            with database.transaction():
                database.metadata_indexes.create(wanted)
    except LodestoneError as error:  # filters work without
        logger.info("{path} has no index on {wanted}: {error}", path=database.path, wanted=wanted, error=error)
    finally:
        if not held:
            lock.release()


def _name(where: StoredField, what: str) -> str:
    return _NAMES[what] + ".".join(where.keys)
