"""A text index in a folder where nothing may be written."""

import contextlib
import os
import tempfile
from pathlib import Path


class LinkedFolder:
    """A temporary folder with links to the files of an index: tantivy makes lock files beside them even for reading.

    :param folder: The folder of the index.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._temporary = tempfile.TemporaryDirectory(prefix="lodestone-", ignore_cleanup_errors=True)
        self.path = Path(self._temporary.name)
        # tantivy's list of the files that it may remove, and here it may remove none.
        (self.path / ".managed.json").write_text("[]", encoding="utf-8")

    def refresh(self) -> None:
        """Link files that are new, as after another process has written."""
        for path in self._folder.iterdir():
            if not path.name.startswith("."):
                with contextlib.suppress(FileExistsError):
                    (self.path / path.name).symlink_to(path)

    def close(self) -> None:
        """Remove the temporary folder."""
        self._temporary.cleanup()


def is_writable(folder: Path) -> bool:
    """Whether this user may make and remove files in a folder."""
    return os.access(folder, os.W_OK | os.X_OK)
