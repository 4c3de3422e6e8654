"""Ending a command that is told to stop, with words on how to go on."""

import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import typer


def typed() -> str:
    """The command line, to be copied."""
    return shlex.join(["lodestone", *sys.argv[1:]])


@contextmanager
def resumable() -> Iterator[None]:
    """Within the block SIGTERM and Ctrl-C end the command with exit code 1 and say how to resume it.

    While a job runs it handles both by itself; this is for the time before and after, when libraries and models load
    and indexes are saved. Importing this imports none of them, so that nothing is left out.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    is_main = threading.current_thread() is threading.main_thread()  # no other thread can set handlers
    before = signal.signal(signal.SIGTERM, stop) if is_main else None
    try:
        yield
    except KeyboardInterrupt:
        say_how_to_resume()
        raise typer.Exit(1) from None
    finally:
        if is_main:
            signal.signal(signal.SIGTERM, before)


def say_how_to_resume() -> None:
    """Print the command that goes on with a job that was stopped."""
    typer.echo(f"Resume with: {typed()}", err=True)
