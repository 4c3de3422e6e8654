"""Follows large writes with the text index, in the background."""

import threading
import time
from collections.abc import Callable

from haystack import logging

from lodestone.components.stores.pause import Pause

logger = logging.getLogger(__name__)

_BREATH_SECONDS = 0.002  # in which others get their turn


class TextUpkeep:
    """One thread that indexes text, while there is some to index.

    :param pause: What it waits for before it begins.
    """

    def __init__(self, pause: Pause) -> None:
        self._pause = pause
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wanted = False

    def wrote(self, step: Callable[[], bool]) -> None:
        """Say that there is text to index.

        :param step: Indexes some of it, and tells whether there is more.
        """
        with self._lock:
            self._wanted = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, args=(step,), name="lodestone-text", daemon=True)
                self._thread.start()

    def _run(self, step: Callable[[], bool]) -> None:
        while self._is_wanted():
            self._pause.wait(threading.Event())
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
