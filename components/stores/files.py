"""Files that are there whole or not at all."""

import json
import os
import shutil
import zlib
from pathlib import Path
from typing import Any

from lodestone.components.errors import LodestoneError

# What the indexes that are derived from the database note of themselves, in the store's folder.
DERIVED = ("vectors.json", "text/lodestone.json")
_SMALL_FILE_BYTES = 65536


def sync_folder(folder: Path) -> None:
    """Make renames and removals in a folder survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(temporary: Path, path: Path) -> None:
    """Put a finished temporary file in the place of another: fsync, rename, fsync of the folder."""
    descriptor = os.open(temporary, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(path)
    sync_folder(path.parent)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a small JSON file atomically."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(value, indent=1), encoding="utf-8")
    replace_file(temporary, path)


def remove_temporary_files(folder: Path) -> None:
    """Remove what was being written when the disk was full or the process was killed."""
    for path in folder.glob("*.tmp"):
        path.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any] | None:
    """Read what `write_json` wrote; None if it is missing or damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def checksum(path: Path) -> int:
    """CRC-32 of a file."""
    value = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            value = zlib.crc32(block, value)
    return value


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; 0 if there is none."""
    if path.is_dir():
        return sum(size_of(entry) for entry in path.iterdir())
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def is_full(folder: Path) -> bool:
    """Whether the disk of a folder has no space left for even a small file."""
    return shutil.disk_usage(folder).free < _SMALL_FILE_BYTES


def disk_full(folder: Path, consequence: str) -> LodestoneError:
    """The error for a disk without space.

    :param folder: What could not be written to.
    :param consequence: What that means for the data.
    """
    return LodestoneError(
        f"no space is left on the disk of {folder}: {consequence}. Free some space, then do the same again"
    )
