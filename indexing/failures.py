"""Which files failed in a job, and why."""

from collections.abc import Iterable
from dataclasses import dataclass

from lodestone.components.stores.source_store import SourceStore
from lodestone.indexing.job_record import JobRecord
from lodestone.indexing.reasons import ENCRYPTED, SCANNED
from lodestone.indexing.report import FileOutcome
from lodestone.indexing.showing import printable


@dataclass(frozen=True)
class Failures:
    """The files that failed in a job.

    :param listed: The files, in the order of their paths.
    :param unlisted: How many more failed, of which nobody knows any more which they were.
    """

    listed: list[FileOutcome]
    unlisted: int = 0

    def by_reason(self) -> dict[str, list[str]]:
        """Paths by reason: what can be mended by hand first, then what is most frequent."""
        paths: dict[str, list[str]] = {}
        for outcome in self.listed:
            paths.setdefault(outcome.reason, []).append(outcome.path)
        order = sorted(paths, key=lambda reason: (reason not in (ENCRYPTED, SCANNED), -len(paths[reason]), reason))
        return {reason: paths[reason] for reason in order}


def failures_of(store: SourceStore, record: JobRecord) -> Failures:
    """The files that failed in a job: by its report where that is whole, or else by what the ledger says now.

    :param store: The index.
    :param record: The job.
    """
    failed = record.counts["failed"]
    reported = [] if record.report is None else record.report["failed"]
    listed = [FileOutcome(each["path"], each["reason"]) for each in reported]
    if record.report is None or failed > len(listed):
        known = _in_ledger(store, record)
        listed = known if len(known) > len(listed) else listed
    return Failures(sorted(listed, key=lambda each: each.path), max(failed - len(listed), 0))


def _in_ledger(store: SourceStore, record: JobRecord) -> list[FileOutcome]:
    until = record.ended if record.ended is not None else record.seen if not record.is_running else float("inf")
    held: Iterable[tuple[str, str]] = (
        (f"{each.root}/{each.path}", str(each.error))
        for each in store.sources()
        if each.state == "failed" and record.started <= each.indexed_at <= until + _SLACK_SECONDS
    )
    return [FileOutcome(printable(path), reason) for path, reason in held]


# A killed job wrote its last batch after it had last written its record.
_SLACK_SECONDS = 30.0
