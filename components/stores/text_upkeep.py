"""Follows large writes with the text index, in the background."""

import threading
import time
from collections.abc import Callable

from haystack import logging

logger = logging.getLogger(__name__)

_PAUSE_SECONDS = 0.2  # without a write, after which indexing begins
_LONGEST_WAIT_SECONDS = 30.0  # after which it begins also between writes
_BREATH_SECONDS = 0.002  # in which others get their turn


class TextUpkeep:
    """One thread that indexes text, while there is some to index.

    It waits for a pause in writing, as a bulk load is done sooner if its text is indexed afterwards.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._last_write = 0.0
        self._wanted = False

    def wrote(self, step: Callable[[], bool]) -> None:
        """Say that there is text to index.

        :param step: Indexes some of it, and tells whether there is more.
        """
        with self._lock:
            self._last_write = time.monotonic()
            self._wanted = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, args=(step,), name="lodestone-text", daemon=True)
                self._thread.start()

    def _run(self, step: Callable[[], bool]) -> None:
        while self._is_wanted():
            self._wait_for_pause()
            try:
                while step():
                    time.sleep(_BREATH_SECONDS)
            except Exception as error:  # nothing is lost: the next search or opening takes it from the database
                logger.warning("text is indexed later: {error}", error=str(error))

    def _is_wanted(self) -> bool:
        with self._lock:
            wanted, self._wanted = self._wanted, False
            if not wanted:
                self._thread = None
            return wanted

    def _wait_for_pause(self) -> None:
        latest = time.monotonic() + _LONGEST_WAIT_SECONDS
        while (now := time.monotonic()) < min(self._last_write + _PAUSE_SECONDS, latest):
            time.sleep(min(self._last_write + _PAUSE_SECONDS, latest) - now)
