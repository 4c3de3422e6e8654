"""Ending a command that is told to stop with words on how to go on, instead of none.

Nothing that takes time may be imported here: a signal that comes before that is done would be left out.
"""

import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StoppedError(KeyboardInterrupt):
    """A signal asked the command to stop.

    Python ends by SIGINT, whatever the exit code, once a KeyboardInterrupt itself has left a call of `exec`, and
    libraries do much in such calls while they are imported.
    """


def typed() -> str:
    """The command line, to be copied."""
    return shlex.join(["lodestone", *sys.argv[1:]])


def say_how_to_resume() -> None:
    """Print the command that goes on with a job that was stopped."""
    sys.stderr.write(f"Resume with: {typed()}\n")
    sys.stderr.flush()


@contextmanager
def quick_to_stop() -> Iterator[None]:
    """Within the block SIGTERM and Ctrl-C end the process at once. For the time when nothing has been begun."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        say_how_to_resume()
        os._exit(1)

    with _handled_by(stop):
        yield


@contextmanager
def resumable() -> Iterator[None]:
    """Within the block SIGTERM and Ctrl-C leave it, and end the command with exit code 1.

    While a job runs it handles both by itself; this is for the time before and after, when models load and indexes are
    saved.
    """

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise StoppedError

    try:
        with _handled_by(stop):
            yield
    except KeyboardInterrupt:
        say_how_to_resume()
        sys.exit(1)


@contextmanager
def _handled_by(handler: "signal._HANDLER") -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # no other can set handlers
        yield
        return
    before = {number: signal.signal(number, handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
