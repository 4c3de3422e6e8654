"""Converted models on disk, so that a second start does not convert."""

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lodestone.components.engines.weights import model_digest

logger = logging.getLogger(__name__)

_FORMAT = 1
_RECORD = "entry.json"


def cache_folder() -> Path:
    """Where converted models are kept: `LODESTONE_CACHE`, else `lodestone` in `XDG_CACHE_HOME`, else `~/.cache`."""
    chosen = os.environ.get("LODESTONE_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "lodestone"


def is_writable() -> bool:
    """Whether converted models can be kept."""
    try:
        (cache_folder() / "engines").mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(cache_folder() / "engines", os.W_OK)


def entry_key(folder: Path, kind: str) -> str:
    """The name of a converted model's entry.

    :param folder: The model's folder.
    :param kind: What was made of it, such as `"reader-float32"`.
    :returns: Hex; another one for other weights, another configuration or other versions of what converts.
    """
    parts = [str(_FORMAT), kind, model_digest(folder), _version("openvino"), _version("transformers")]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:40]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def find_entry(folder: Path, kind: str) -> tuple[Path, dict[str, Any]] | None:
    """A converted model that is whole.

    :param folder: The model's folder.
    :param kind: As in `entry_key`.
    :returns: The entry's folder and what was recorded with it; None where there is none, or it was damaged.
    """
    path = cache_folder() / "engines" / entry_key(folder, kind)
    record = _checked(path)
    return None if record is None else (path, record)


def store_entry(
    folder: Path, kind: str, write: Callable[[Path], dict[str, Any]], replace: bool = False
) -> tuple[Path, dict[str, Any]]:
    """Make an entry, or take the one that another process made meanwhile.

    It is written beside its place and renamed into it, so that nobody ever sees half of one; a lock keeps two
    processes from doing the work twice.

    :param folder: The model's folder.
    :param kind: As in `entry_key`.
    :param write: Writes the entry's files into a folder, and returns what to record with them.
    :param replace: Whether to write it anew even if there is a whole one.
    :returns: The entry's folder and its record.
    :raises OSError: The cache cannot be written.
    """
    from filelock import FileLock

    place = cache_folder() / "engines" / entry_key(folder, kind)
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(place.with_suffix(".lock")):
        record = None if replace else _checked(place)
        if record is not None:
            return place, record
        # Nobody else writes this entry now: what lies here is of a process that was killed.
        for left in place.parent.glob(f"{place.name}.*.tmp"):
            shutil.rmtree(left, ignore_errors=True)
        scratch = Path(tempfile.mkdtemp(prefix=f"{place.name}.", suffix=".tmp", dir=place.parent))
        try:
            made = scratch / "entry"
            made.mkdir()
            record = {"kind": kind, "model": str(folder), **write(made)}
            record["files"] = {path.name: _facts(path) for path in sorted(made.iterdir())}
            (made / _RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
            if place.exists():
                place.rename(scratch / "old")
            made.rename(place)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return place, record


def amend_entry(folder: Path, kind: str, **facts: Any) -> None:
    """Record more with an entry that is there.

    :param folder: The model's folder.
    :param kind: As in `entry_key`.
    :param facts: What to record; JSON values.
    :raises LookupError: There is no such entry.
    """
    found = find_entry(folder, kind)
    if found is None:
        raise LookupError(f"there is no {kind} model of {folder}")
    place, record = found
    handle, name = tempfile.mkstemp(prefix=".amended.", dir=place)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump({**record, **facts}, file, indent=1)
    os.replace(name, place / _RECORD)


def _facts(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    status = path.stat()
    return {"size": status.st_size, "modified": status.st_mtime_ns, "sha256": digest}


def _checked(entry: Path) -> dict[str, Any] | None:
    """The record of an entry whose files are as they were written."""
    try:
        record: dict[str, Any] = json.loads((entry / _RECORD).read_text(encoding="utf-8"))
        whole = all(_unchanged(entry / name, facts) for name, facts in record["files"].items())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        logger.info("The converted model in %s is damaged; it is made again", entry)
        return None
    return record


def _unchanged(path: Path, facts: dict[str, Any]) -> bool:
    """Whether a file is what was written. Its bytes are read only where size and time of change leave a doubt."""
    status = path.stat()
    if status.st_size != facts["size"]:
        return False
    return bool(status.st_mtime_ns == facts["modified"] or _facts(path)["sha256"] == facts["sha256"])
