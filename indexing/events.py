"""What a job does as a stream of events, for programs."""

import contextlib
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from lodestone.indexing.progress import FileDone
from lodestone.indexing.report import Report
from lodestone.indexing.tracking import Tracker

_EVERY_SECONDS = 1.0


class EventStream(Tracker):
    """Writes an event when the work begins, for each file that is finished, and once a second in between.

    It is a context, within which it writes by itself.

    :param write: Takes an event as a mapping that JSON can hold; called by one thread at a time.
    :param about: What else the first event holds.
    :param every: Seconds between two looks at how far the job is.
    """

    def __init__(
        self, write: Callable[[dict[str, Any]], None], about: dict[str, Any], every: float = _EVERY_SECONDS
    ) -> None:
        super().__init__()
        self._write = write
        self._about = about
        self._every = every
        self._one_at_a_time = threading.Lock()
        self._ended = threading.Event()
        self._clockwork = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Self:
        self._clockwork.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._clockwork.join()

    def start(self, files: int, size: int, left_out: Sequence[FileDone]) -> None:
        """See `Progress.start`."""
        self._send("start", {**self._about, "files": files, "bytes": size})
        for file in left_out:
            self._send("file", file.to_dict())
        super().start(files, size, left_out)

    def done(self, file: FileDone) -> None:
        """See `Progress.done`."""
        super().done(file)
        self._send("file", file.to_dict())

    def report(self, report: Report, held: int) -> None:
        """Write the last event.

        :param report: What the job did.
        :param held: Passages that the index holds now.
        """
        self._send("report", {**report.to_dict(), **self._about, "passages_in_index": held})

    def _send(self, event: str, values: dict[str, Any]) -> None:
        with self._one_at_a_time:
            self._write({"event": event, **values})

    def _tick(self) -> None:
        # Whoever reads the events may have gone; the next file says so to the job.
        with contextlib.suppress(OSError):
            while not self._ended.wait(self._every):
                if self.is_started:
                    self._send("progress", self.state.to_dict())
