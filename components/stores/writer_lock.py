"""One process writes to a store at a time."""

import json
import os
import socket
from pathlib import Path

import filelock

from lodestone.components.errors import LodestoneError
from lodestone.components.stores.linked_folder import is_writable


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
        """
        if self.held:
            return True
        if self._folder.exists() and not is_writable(self._folder):
            return False
        try:
            self._lock.acquire()
        except (filelock.Timeout, OSError):
            return False
        owner = {"pid": os.getpid(), "host": socket.gethostname()}
        self._owner.write_text(json.dumps(owner), encoding="utf-8")
        return True

    def acquire(self) -> None:
        """Take the lock.

        :raises LodestoneError: If another process has it.
        """
        if not self.try_acquire():
            if not is_writable(self._folder):
                raise LodestoneError(
                    f"{self._folder} is read-only for this user: searching works, writing needs permission to write "
                    "to the folder, or a copy of it"
                )
            raise LodestoneError(
                f"{self._folder} is being written to by {self._describe_owner()}: wait until it ends, or stop it. "
                "Searching works meanwhile."
            )

    def release(self) -> None:
        """Let go of the lock, if it is held."""
        if self.held:
            self._owner.unlink(missing_ok=True)
            self._lock.release()

    def _describe_owner(self) -> str:
        try:
            owner = json.loads(self._owner.read_text(encoding="utf-8"))
            return f"process {owner['pid']} on {owner['host']}"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"
