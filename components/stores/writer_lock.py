"""One process writes to a store at a time."""

import errno
import json
import os
import socket
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock

from lodestone.components.errors import LodestoneError
from lodestone.components.stores.files import disk_full, read_json
from lodestone.components.stores.linked_folder import is_writable

_FULL = (errno.ENOSPC, errno.EDQUOT)


class WriterLock:
    """A file lock that ends with the process that holds it, and names its holder to those who are refused.

    :param folder: The store's folder; it must exist when the lock is taken.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._owner = folder / "writer.json"
        self._lock = filelock.FileLock(folder / "writer.lock", timeout=0, thread_local=False)

    @property
    def held(self) -> bool:
        """Whether this process holds the lock."""
        return self._lock.is_locked

    def try_acquire(self) -> bool:
        """Take the lock if nobody has it.

        :returns: Whether this process holds it now.
        :raises LodestoneError: If the disk is full.
        """
        if self.held:
            return True
        if self._folder.exists() and not is_writable(self._folder):
            return False
        try:
            self._lock.acquire()
        except (filelock.Timeout, OSError) as error:
            if isinstance(error, OSError) and error.errno in _FULL:
                raise disk_full(self._folder, "nothing was written") from error
            return False
        owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": _now()}
        with suppress(OSError):  # a disk that is full keeps only the name from those who are refused
            self._owner.write_text(json.dumps(owner), encoding="utf-8")
        return True

    def acquire(self) -> None:
        """Take the lock.

        :raises LodestoneError: If another process has it, or the disk is full.
        """
        if not self.try_acquire():
            if not is_writable(self._folder):
                raise LodestoneError(
                    f"{self._folder} is read-only for this user: searching works, writing needs permission to write "
                    "to the folder, or a copy of it"
                )
            raise LodestoneError(
                f"{self._folder} is being written to by {_describe_owner(self._folder)}: wait until it ends, or stop "
                "it. Searching works meanwhile."
            )

    def release(self) -> None:
        """Let go of the lock, if it is held."""
        if self.held:
            with suppress(OSError):
                self._owner.unlink(missing_ok=True)
            self._lock.release()


def running_owner(folder: Path) -> dict[str, Any] | None:
    """Which process writes to a folder: `pid`, `host` and `since` (ISO 8601, UTC).

    :param folder: The store's folder.
    :returns: None if there is none. Of a process on another host it cannot be seen whether it was killed.
    """
    owner = _owner_of(folder)
    if owner is None or (owner["host"] == socket.gethostname() and not _is_running(owner["pid"])):
        return None
    return owner


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _owner_of(folder: Path) -> dict[str, Any] | None:
    """The note of the process that took the lock last; one that was killed leaves it behind."""
    owner = read_json(folder / "writer.json")
    return owner if owner is not None and {"pid", "host", "since"} <= owner.keys() else None


def _describe_owner(folder: Path) -> str:
    owner = _owner_of(folder)
    if owner is None:
        return "another process"
    return f"process {owner['pid']} on {owner['host']} since {owner['since']}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
