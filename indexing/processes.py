"""Telling a process apart from a later one that was given the same id."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

_STAT = "/proc/{pid}/stat"
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_GONE = ("Z", "X")


def identity(pid: int) -> str | None:
    """What a process is known by as long as it runs, and no other has.

    :param pid: Its id.
    :returns: When it was started, since which start of the system; None if there is no such process.
    """
    if _BOOT.exists():
        try:
            stat = Path(_STAT.format(pid=pid)).read_bytes()
        except OSError:
            return None
        # Behind the program's name, which may hold anything: the third field of the line, and the 22nd.
        fields = stat.rpartition(b")")[2].split()
        state, started = fields[0].decode(), fields[19].decode()
        return None if state in _GONE else f"{_BOOT.read_text().strip()} {started}"
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    state, _, started = subprocess.run(command, capture_output=True, text=True).stdout.strip().partition(" ")
    return None if not state or state[0] in _GONE else " ".join(started.split())


def ask_to_stop(pid: int, known_as: str | None) -> bool:
    """Send a process SIGTERM, unless it is another one by now.

    :param pid: Its id.
    :param known_as: Its `identity` when it was last seen.
    :returns: Whether it was sent; False if the process is gone.
    :raises PermissionError: If it belongs to another user.
    """
    if not hasattr(os, "pidfd_open"):
        if known_as is None or identity(pid) != known_as:
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
            return True
        return False
    try:
        # From here on it cannot become another process unnoticed.
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if known_as is None or identity(pid) != known_as:
            return False
        signal.pidfd_send_signal(process, signal.SIGTERM)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(process)
