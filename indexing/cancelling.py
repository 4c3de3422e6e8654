"""Asking a running job to stop, and waiting until it has."""

import time

from lodestone.components.errors import ConfigurationError
from lodestone.components.stores import FaissDocumentStore
from lodestone.components.stores.source_store import SourceStore
from lodestone.indexing import processes
from lodestone.indexing.job_record import RUNNING, JobRecord
from lodestone.indexing.job_records import JobRecords

_LOOK_SECONDS = 0.2


def cancel(store: SourceStore, record: JobRecord, patience: float) -> JobRecord | None:
    """Ask a job to stop, and wait until it has.

    A process on this host is sent SIGTERM, as soon as it is known to be the job's. A job on another host is asked by
    way of the index, where several can write to it.

    :param store: The index.
    :param record: The job.
    :param patience: Seconds to wait.
    :returns: Its record as it is then; None if it has not ended yet.
    :raises ConfigurationError: If it does not run, or belongs to another user, or to another host that cannot be told.
    """
    if not record.is_running:
        raise ConfigurationError(f"job {record.id} is not running (state: {record.state_now})")
    records = JobRecords(store)
    if record.is_here:
        try:
            processes.ask_to_stop(record.pid, record.process)
        except PermissionError:
            raise ConfigurationError(
                f"job {record.id} is process {record.pid} of another user, who has to cancel it"
            ) from None
    elif isinstance(store, FaissDocumentStore):
        raise ConfigurationError(
            f"job {record.id} runs on {record.host}, as process {record.pid}: "
            f"run `lodestone jobs cancel {record.id}` there"
        )
    else:
        records.ask_to_stop(record)
    return _ended(records, record, patience)


def _ended(records: JobRecords, record: JobRecord, patience: float) -> JobRecord | None:
    """The record of a job that ends meanwhile."""
    latest = time.monotonic() + patience
    while time.monotonic() < latest:
        if record.is_here:
            # It saves the index after it has written its record.
            has_ended = processes.identity(record.pid) != record.process
            now = records.get(record.id) if has_ended else None
        else:
            now = records.get(record.id)
            has_ended = now is None or now.state != RUNNING
        if has_ended:
            return record if now is None else now
        time.sleep(_LOOK_SECONDS)
    return None
