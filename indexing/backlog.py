"""What is converted and not embedded yet: bounded, so that fast converters wait for a slow embedder."""

import threading
from collections import deque

from lodestone.indexing.conversion import Conversion, Task

Item = tuple[Task, Conversion]

# The first batch is so much smaller than a whole one, and each doubles, so that the embedder need not wait for long.
_FIRST = 8


class CancelledError(Exception):
    """Nobody takes what is put into a backlog any more."""


class Backlog:
    """A bounded buffer between the thread that converts and the one that embeds.

    :param passages: So many passages make a batch; the first ones are smaller.
    :param files: So many documents do, too.
    """

    def __init__(self, passages: int, files: int) -> None:
        self._passages = passages
        self._wanted = max(1, passages // _FIRST)
        self._files = files
        self._items: deque[Item] = deque()
        self._held = 0
        self._ended = False
        self._cancelled = False
        self._changed = threading.Condition()

    @property
    def is_cancelled(self) -> bool:
        """Whether nothing more is taken."""
        return self._cancelled

    def put(self, task: Task, conversion: Conversion) -> None:
        """Add a document; waits while there is enough for two batches.

        :param task: The document.
        :param conversion: What became of it.
        :raises CancelledError: If nobody takes it any more.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._cancelled or not self._is_full(2))
            if self._cancelled:
                raise CancelledError
            self._items.append((task, conversion))
            self._held += len(conversion.passages)
            self._changed.notify_all()

    def end(self) -> None:
        """Say that nothing more comes."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def cancel(self) -> None:
        """Say that nothing more is taken."""
        with self._changed:
            self._cancelled = True
            self._changed.notify_all()

    def take(self, wait: float, whole: bool = True) -> list[Item] | None:
        """Take a batch.

        :param wait: Seconds to wait for a whole one at most.
        :param whole: Whether to take no less than a whole one, unless nothing more comes.
        :returns: Documents; [] if there is no batch yet; None if nothing more comes.
        """
        with self._changed:
            is_whole = self._changed.wait_for(lambda: self._ended or self._is_batch(), timeout=wait)
            if self._ended and not self._items:
                return None
            if whole and not is_whole:
                return []
            batch: list[Item] = []
            passages = 0
            while self._items and passages < self._wanted and len(batch) < self._files:
                batch.append(self._items.popleft())
                passages += len(batch[-1][1].passages)
            self._held -= passages
            self._wanted = min(2 * self._wanted, self._passages)
            self._changed.notify_all()
            return batch

    def _is_batch(self) -> bool:
        return self._held >= self._wanted or len(self._items) >= self._files

    def _is_full(self, batches: int) -> bool:
        return self._held >= batches * self._passages or len(self._items) >= batches * self._files
