"""A time to work in the background."""

import threading
import time

_PAUSE_SECONDS = 0.2  # without a write, after which work begins
_LONGEST_WAIT_SECONDS = 30.0  # after which it begins also between writes


class Pause:
    """Waits for a pause in writing: a bulk load is done sooner if its indexes are made afterwards."""

    def __init__(self) -> None:
        self._last_write = 0.0

    def wrote(self) -> None:
        """Say that something was written just now."""
        self._last_write = time.monotonic()

    def wait(self, given_up: threading.Event) -> bool:
        """Wait for a pause, or for so long that it is time.

        :param given_up: Ends the waiting when it is set.
        :returns: Whether to begin; False if it was given up.
        """
        latest = time.monotonic() + _LONGEST_WAIT_SECONDS
        while (left := min(self._last_write + _PAUSE_SECONDS, latest) - time.monotonic()) > 0:
            if given_up.wait(left):
                return False
        return not given_up.is_set()
