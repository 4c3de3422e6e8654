"""What is kept of one indexing job, beside the index that it worked on."""

import json
import os
import socket
import time
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from lodestone.indexing.processes import identity
from lodestone.indexing.secrets import without_secrets

RUNNING, DONE, WITH_FAILURES, STOPPED, FAILED, DIED = (
    *("running", "done", "done with failures", "stopped", "failed", "died"),
)
# Of another host only silence can be seen. Saving a large index keeps a job silent for minutes.
_SILENT_SECONDS = 900.0


@dataclass
class JobRecord:
    """One run of `lodestone index`, or of what resumes or retries one.

    Times are seconds since 1970.

    :param id: Short, and in the order of time.
    :param command: What was typed.
    :param definition: The job as `job_text.as_text` writes it.
    :param kind: "index", or "retry" for one that takes up only files that failed.
    :param of: The job that it resumes or retries; None if it does neither.
    :param swap: Whether a new index is built, to take the old one's place.
    :param version: Of Lodestone.
    :param host: Name of the machine.
    :param pid: The process.
    :param process: Its `identity`, by which it is told apart from a later one with that id.
    :param state: RUNNING, DONE, WITH_FAILURES, STOPPED or FAILED: what the job itself said last.
    :param started: When it began.
    :param began: When it knew which files to read; None until then.
    :param seen: When it last wrote this.
    :param ended: When it ended; None until then.
    :param files: Files to read; None until that is known. Rows of tables are counted as they are read.
    :param size: Their bytes.
    :param counts: How much is done: `files`, `bytes`, `passages`, `failed`; at the end that of the report, in which
        `files` are all that were found, also those that had not changed, unless the job was stopped.
    :param report: The report, its longest lists cut; None until the end.
    :param unread: Root and path of what failed without the index knowing of it: files and folders that cannot be read.
    :param error: What ended it, if anything did.
    """

    id: str
    command: str
    definition: str
    kind: str = "index"
    of: str | None = None
    swap: bool = False
    version: str = ""
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    process: str | None = field(default_factory=lambda: identity(os.getpid()))
    state: str = RUNNING
    started: float = field(default_factory=time.time)
    began: float | None = None
    seen: float = field(default_factory=time.time)
    ended: float | None = None
    files: int | None = None
    size: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("files", "bytes", "passages", "failed"), 0))
    report: dict[str, Any] | None = None
    unread: list[tuple[str, str]] = field(default_factory=list)
    error: str | None = None

    @property
    def is_here(self) -> bool:
        """Whether it ran on this host, where its process can be looked for."""
        return self.host == socket.gethostname()

    @property
    def state_now(self) -> str:
        """Its state, DIED if it says that it is running and is not."""
        if self.state != RUNNING:
            return self.state
        if self.is_here:
            alive = self.process is not None and identity(self.pid) == self.process
        else:
            alive = time.time() - self.seen < _SILENT_SECONDS
        return RUNNING if alive else DIED

    @property
    def is_running(self) -> bool:
        """Whether it runs."""
        return self.state_now == RUNNING

    @property
    def seconds(self) -> float:
        """How long it ran, or has been running."""
        end = self.ended if self.ended is not None else time.time() if self.is_running else self.seen
        return max(end - self.started, 0.0)

    @property
    def rate(self) -> float:
        """Passages a second since the files to read were known."""
        if self.began is None:
            return 0.0
        seconds = (self.seen if self.ended is None else self.ended) - self.began
        return self.counts["passages"] / seconds if seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Until all files are read, reckoned from bytes, as files differ widely in size; None where that is unknown."""
        done = self.counts["bytes"]
        if not self.is_running or self.began is None or not done:
            return None
        return (self.seen - self.began) * max(self.size - done, 0) / done

    def to_text(self) -> str:
        """The record as JSON, for the store."""
        return without_secrets(json.dumps(asdict(self)))

    @classmethod
    def from_text(cls, text: str) -> "JobRecord | None":
        """Read what `to_text` wrote.

        :param text: JSON.
        :returns: None if it is no record; what a newer version added is left out.
        """
        try:
            values = json.loads(text)
            record = cls(**{each.name: values[each.name] for each in fields(cls) if each.name in values})
        except (ValueError, TypeError):
            return None
        record.unread = [(root, path) for root, path in record.unread]
        return record

    def to_dict(self) -> dict[str, Any]:
        """The record as plain values for programs: times in ISO 8601, and what follows from it."""
        values = asdict(self)
        for name in ("started", "began", "seen", "ended"):
            values[name] = None if values[name] is None else shown_time(values[name])
        left = self.seconds_left
        return {
            **values,
            "state": self.state_now,
            "seconds": round(self.seconds, 3),
            "passages_per_second": round(self.rate, 1),
            "seconds_left": None if left is None else round(left, 1),
        }


def shown_time(seconds: float) -> str:
    """A time as in `lodestone status`: ISO 8601, UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
