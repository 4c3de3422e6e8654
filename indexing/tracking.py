"""How far a job is, and how fast."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lodestone.indexing.progress import FileDone, Progress
from lodestone.indexing.sources import SourceFile

# The rate is that of the last seconds, so that one sees when something slows the job down.
_RATE_SECONDS = 10.0
# A file that takes so long to convert is named, and until nobody has said for this long that it still does.
_LONG_SECONDS = 3.0
_STALE_SECONDS = 1.0


@dataclass(frozen=True)
class State:
    """How far a job is.

    :param files: Files that are finished.
    :param of: Files in all, as far as is known.
    :param size: Bytes of the finished ones.
    :param of_size: Bytes in all.
    :param passages: Passages written.
    :param rate: Passages embedded a second, in the last seconds.
    :param failed: Files that failed.
    :param last_failure: The last of them.
    :param to_convert: Files that wait to be converted, or are.
    :param to_embed: Files that wait to be embedded, or are.
    :param to_write: Files that wait to be written, or are.
    :param seconds: Since the files are known.
    :param share: How much of the work is done, 0 to 1, reckoned from bytes, as files differ widely in size.
    :param seconds_left: Until all are finished; None where nothing can be said yet.
    :param converting: The file that has been converted longest, if that is long, and for how many seconds.
    :param embedding: The largest file of the batch that is being embedded, how many passages of the batch are embedded,
        and how many it has.
    """

    files: int = 0
    of: int = 0
    size: int = 0
    of_size: int = 0
    passages: int = 0
    rate: float = 0.0
    failed: int = 0
    last_failure: FileDone | None = None
    to_convert: int = 0
    to_embed: int = 0
    to_write: int = 0
    seconds: float = 0.0
    share: float = 0.0
    seconds_left: float | None = None
    converting: tuple[str, float] | None = None
    embedding: tuple[str, int, int] | None = None

    def to_dict(self) -> dict[str, Any]:
        """The state as plain values, for JSON."""
        values: dict[str, Any] = {
            "files": self.files,
            "of": self.of,
            "bytes": self.size,
            "of_bytes": self.of_size,
            "passages": self.passages,
            "passages_per_second": round(self.rate, 1),
            "failed": self.failed,
            "queues": {"converting": self.to_convert, "embedding": self.to_embed, "writing": self.to_write},
            "seconds": round(self.seconds, 3),
            "seconds_left": None if self.seconds_left is None else round(self.seconds_left, 1),
            "converting": None,
            "embedding": None,
        }
        if self.converting is not None:
            values["converting"] = {"path": self.converting[0], "seconds": round(self.converting[1], 1)}
        if self.embedding is not None:
            path, passages, of = self.embedding
            values["embedding"] = {"path": path, "passages": passages, "of": of}
        return values


class Tracker(Progress):
    """Keeps count of what a job tells; may be asked at any time, from any thread.

    :param clock: Tells the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._started: float | None = None
        self._of = self._of_size = self._files = self._size = self._passages = self._failed = 0
        self._last_failure: FileDone | None = None
        self._converted = self._handed_on = self._handed_on_size = 0
        self._converting: tuple[str, float, float] | None = None
        self._batch: tuple[str, int, int] | None = None
        self._embedded = self._embedded_of_batch = 0
        self._samples: deque[tuple[float, int]] = deque()
        self._share, self._share_at = 0.0, 0.0

    def start(self, files: int, size: int, left_out: Sequence[FileDone]) -> None:
        """See `Progress.start`."""
        with self._lock:
            self._started = self._clock()
            self._samples.append((self._started, 0))
            self._of, self._of_size = files, size
            for file in left_out:
                self._note_failure(file)

    def converting(self, path: str, seconds: float) -> None:
        """See `Progress.converting`."""
        with self._lock:
            self._converting = path, seconds, self._clock()

    def converted(self, source: SourceFile) -> None:
        """See `Progress.converted`."""
        with self._lock:
            self._converted += 1
            if self._converting is not None and self._converting[0] == source.shown:
                self._converting = None

    def embedding(self, files: Sequence[tuple[SourceFile, int]]) -> None:
        """See `Progress.embedding`."""
        if not files:
            return
        largest, _ = max(files, key=lambda entry: entry[1])
        with self._lock:
            self._batch = largest.shown, sum(passages for _, passages in files), sum(file.size for file, _ in files)
            self._embedded_of_batch = 0

    def embedded(self, passages: int) -> None:
        """See `Progress.embedded`."""
        with self._lock:
            self._embedded += passages
            self._embedded_of_batch += passages
            now = self._clock()
            self._samples.append((now, self._embedded))
            while len(self._samples) > 2 and self._samples[1][0] <= now - _RATE_SECONDS:
                self._samples.popleft()
            self._move()

    def writing(self, files: int) -> None:
        """See `Progress.writing`."""
        with self._lock:
            self._handed_on += files
            if self._batch is not None:
                self._handed_on_size += self._batch[2]
                self._batch = None
            self._move()

    def done(self, file: FileDone) -> None:
        """See `Progress.done`."""
        with self._lock:
            self._files += 1
            self._size += file.size
            self._passages += file.passages
            self._note_failure(file)
            self._move()

    @property
    def is_started(self) -> bool:
        """Whether it is known what there is to do."""
        return self._started is not None

    @property
    def state(self) -> State:
        """How far the job is now."""
        with self._lock:
            now = self._clock()
            seconds = 0.0 if self._started is None else now - self._started
            of, share = max(self._of, self._converted), self._share
            embedding = None
            if self._batch is not None and self._batch[1]:
                embedding = self._batch[0], self._embedded_of_batch, self._batch[1]
            return State(
                files=self._files,
                of=of,
                size=self._size,
                of_size=max(self._of_size, self._size),
                passages=self._passages,
                rate=self._rate(now),
                failed=self._failed,
                last_failure=self._last_failure,
                to_convert=of - self._converted,
                to_embed=max(self._converted - max(self._handed_on, self._files), 0),
                to_write=max(self._handed_on - self._files, 0),
                seconds=seconds,
                share=share,
                seconds_left=self._share_at * (1 - share) / share if share else None,
                converting=self._long_one(now),
                embedding=embedding,
            )

    def _note_failure(self, file: FileDone) -> None:
        if file.state == "failed":
            self._failed += 1
            self._last_failure = file

    def _rate(self, now: float) -> float:
        if len(self._samples) < 2:
            return 0.0
        (first, before), (last, after) = self._samples[0], self._samples[-1]
        # Between two batches the rate stands; when none comes any more it falls.
        patience = max(_RATE_SECONDS, 2 * (last - self._samples[-2][0]))
        seconds = (last if now - last < patience else now) - first
        return (after - before) / seconds if seconds > 0 else 0.0

    def _move(self) -> None:
        """Note how much is done, and when that was; until there is more the time left stands."""
        ready = float(self._handed_on_size)
        if self._batch is not None and self._batch[1]:
            ready += self._batch[2] * self._embedded_of_batch / self._batch[1]
        share = min(max(ready, self._size) / self._of_size, 1.0) if self._of_size else 0.0
        if share > self._share and self._started is not None:
            self._share, self._share_at = share, self._clock() - self._started

    def _long_one(self, now: float) -> tuple[str, float] | None:
        if self._converting is None:
            return None
        path, seconds, told = self._converting
        return (path, seconds) if seconds >= _LONG_SECONDS and now - told < _STALE_SECONDS else None
