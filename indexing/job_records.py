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
_UNFINISHED = (STOPPED, FAILED, DIED)


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

        :param given: As for `find`; None for the last job that has not come to its end, and that no later one has taken
            up again; one that retries a part of another only if there is no other.
        :raises ConfigurationError: As `find` does, or if there is nothing to resume.
        """
        records = self.all()
        if given is not None or not records:
            return self._found(records, given)
        left = [record for record in records if record.state_now in _UNFINISHED and not _is_taken_up(record, records)]
        left.sort(key=lambda record: record.kind == "retry")
        if left:
            return left[0]
        last = records[0]
        if last.is_running:
            return last
        raise ConfigurationError(
            f"there is nothing to resume in {self._store.path}: the last job, {last.id}, is {last.state_now}; files "
            "that failed are tried again by `lodestone jobs retry`, a job is run again by `lodestone jobs resume "
            f"{last.id}`"
        )

    def to_cancel(self, given: str | None) -> JobRecord:
        """The job that is to stop.

        :param given: As for `find`; None for the last job that runs.
        :raises ConfigurationError: As `find` does, or if none runs.
        """
        records = self.all()
        if given is not None or not records:
            return self._found(records, given)
        running = [record for record in records if record.is_running]
        if not running:
            last = records[0]
            raise ConfigurationError(
                f"no job of {self._store.path} is running (the last one is {last.id}, state: {last.state_now})"
            )
        return running[0]

    def to_retry(self, given: str | None) -> list[JobRecord]:
        """The jobs that may have failures to retry, the likeliest first.

        :param given: As for `find`, for that job only; None for those that know of failures or have not come to their
            end, newest first, or the last job if there is none.
        :raises ConfigurationError: As `find` does.
        """
        records = self.all()
        if given is not None or not records:
            return [self._found(records, given)]
        # A job and those that ran it again are about the same files: the last of them knows best.
        last_about = {record.definition: record for record in reversed(records) if not record.is_running}
        left = (record for record in last_about.values() if _may_have_failures(record))
        return sorted(left, key=lambda record: record.id, reverse=True) or records[:1]

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


def _is_taken_up(record: JobRecord, records: list[JobRecord]) -> bool:
    """Whether a later job resumes a job, or is about the same; retrying a part of one does not finish it."""
    return any(
        other.id > record.id
        and (other.kind == "index" or record.kind == "retry")
        and (other.of == record.id or other.definition == record.definition)
        and (other.swap or not record.swap)
        for other in records
    )


def _may_have_failures(record: JobRecord) -> bool:
    return bool(record.counts["failed"] or record.unread) or record.state_now in _UNFINISHED


def _written(number: int) -> str:
    digits = ""
    for _ in range(7):
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits


def _listed(records: list[JobRecord]) -> str:
    more = f" and {len(records) - _SHOWN} older ones" if len(records) > _SHOWN else ""
    return ", ".join(each.id for each in records[:_SHOWN]) + more
