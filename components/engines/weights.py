"""Telling models apart by their weights, without loading them."""

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

# They say who wrote a configuration and how it is loaded, not what the model computes.
VOLATILE_SETTINGS = frozenset(
    {"_name_or_path", "name_or_path", "transformers_version", "torch_dtype", "dtype", "use_cache"}
)


@lru_cache(maxsize=64)
def _digest(path: str, size: int, modified: int) -> str:
    """SHA-256 of a file; size and time of change are there to make the cache forget a file that was replaced."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file, computed once in a process as long as the file stays the same."""
    status = path.stat()
    return _digest(str(path), status.st_size, status.st_mtime_ns)


def weight_files(folder: Path) -> list[Path]:
    """The files that hold a model's weights: safetensors, or pickled ones where there are no others."""
    files = sorted(folder.glob("*.safetensors"))
    return files if files else sorted(folder.glob("*.bin"))


def canonical_config(path: Path) -> str:
    """A configuration file in a form that changes only with what it configures."""
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        value: Any = json.loads(text)
    except ValueError:
        return text
    if isinstance(value, dict):
        value = {key: item for key, item in value.items() if key not in VOLATILE_SETTINGS}
    return json.dumps(value, sort_keys=True)


def model_digest(folder: Path) -> str:
    """SHA-256 (hex) of a model: its configuration and its weights, wherever it lies."""
    parts = [canonical_config(folder / "config.json"), *(file_digest(path) for path in weight_files(folder))]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
