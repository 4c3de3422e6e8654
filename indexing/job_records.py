"""The records of the jobs of an index, among the free settings of its store."""

import os
import secrets
import time

from lodestone.components.errors import ConfigurationError
from lodestone.components.stores import FaissDocumentStore
from lodestone.components.stores.source_store import SourceStore
from lodestone.indexing.job_record import DIED, FAILED, STOPPED, JobRecord

KEPT = 50
_JOB = "job:"
_ASKED = "cancel-job:"
# Crockford's: no letter looks like a digit or another letter, and their order is that of the alphabet.
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_SINCE = 1_577_836_800  # 2020
_SHOWN = 5


class JobRecords:
    """The last jobs of an index.

    :param store: The index.
    """

    def __init__(self, store: SourceStore) -> None:
        self._store = store

    def all(self) -> list[JobRecord]:
        """The records, newest first."""
        records = (JobRecord.from_text(text) for text in self._store.settings(_JOB).values())
        return sorted((each for each in records if each is not None), key=lambda each: each.id, reverse=True)

    def find(self, given: str | None) -> JobRecord:
        """A job by what a user calls it.

        :param given: Its id or the beginning of it, in upper or lower case; None for the last job.
        :raises ConfigurationError: If there is none, or several begin so.
        """
        return self._found(self.all(), given)

    def to_resume(self, given: str | None) -> JobRecord:
        """The job that is to go on.

        :param given: As for `find`; None for the last job that is no retry, if it has not come to its end, as retrying
            a part of it does not finish it, and else for the last job.
        :raises ConfigurationError: As `find` does.
        """
        records = self.all()
        if given is None:
            last = next((each for each in records if each.kind != "retry"), None)
            if last is not None and last.state_now in (STOPPED, FAILED, DIED):
                return last
        return self._found(records, given)

    def get(self, id: str) -> JobRecord | None:
        """A job by its whole id; None if there is no such job."""
        text = self._store.get_setting(_JOB + id)
        return None if text is None else JobRecord.from_text(text)

    def save(self, record: JobRecord) -> None:
        """Keep a record as it is now.

        :param record: It replaces the one with its id.
        """
        record.seen = time.time()
        self._store.set_setting(_JOB + record.id, record.to_text())

    def new_id(self) -> str:
        """An id that no job of the index has, after all that were given before."""
        while True:
            number = int((time.time() - _SINCE) * 32)
            id = _written(number) + secrets.choice(_DIGITS)
            if self._store.get_setting(_JOB + id) is None:
                return id

    def forget_old(self) -> None:
        """Forget the oldest jobs beyond those that are kept, unless they run."""
        for record in self.all()[KEPT:]:
            if not record.is_running:
                self._store.forget_setting(_JOB + record.id)

    def texts(self) -> dict[str, str]:
        """The records as they are kept, by their keys."""
        return self._store.settings(_JOB)

    def add_texts(self, texts: dict[str, str]) -> None:
        """Keep records that another index had.

        :param texts: As `texts` gave them; those that are known already are left.
        """
        known = self.texts()
        for key, text in texts.items():
            if key not in known:
                self._store.set_setting(key, text)

    def ask_to_stop(self, record: JobRecord) -> None:
        """Ask a job on another host to stop; it sees that when it next writes its record."""
        self._store.set_setting(_ASKED + record.id, "")

    def is_asked_to_stop(self, record: JobRecord) -> bool:
        """Whether a job was asked to stop."""
        return self._store.get_setting(_ASKED + record.id) is not None

    def forget_asking(self, record: JobRecord) -> None:
        """Forget that a job was asked to stop."""
        self._store.forget_setting(_ASKED + record.id)

    def _found(self, records: list[JobRecord], given: str | None) -> JobRecord:
        if not records:
            raise ConfigurationError(f"{self._store.path} has no record of a job; `lodestone index` makes them")
        if given is None:
            return records[0]
        wanted = given.strip().lower()
        found = [each for each in records if each.id.startswith(wanted)] if wanted else []
        exact = [each for each in found if each.id == wanted]
        if len(exact or found) == 1:
            return (exact or found)[0]
        if found:
            raise ConfigurationError(f"several jobs begin with {given!r}: {_listed(found)}")
        raise ConfigurationError(f"{self._store.path} has no job {given!r}; it has {_listed(records)}")


def index_of(store: SourceStore) -> str:
    """What `--index` takes to mean this index from any folder.

    :param store: The index.
    """
    if isinstance(store, FaissDocumentStore):
        return os.path.abspath(store.path)
    return str(getattr(store, "index", store.path))


def _written(number: int) -> str:
    digits = ""
    for _ in range(7):
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits


def _listed(records: list[JobRecord]) -> str:
    more = f" and {len(records) - _SHOWN} older ones" if len(records) > _SHOWN else ""
    return ", ".join(each.id for each in records[:_SHOWN]) + more
