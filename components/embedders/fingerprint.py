"""What tells two embedding models apart."""

import hashlib
import json
from pathlib import Path

from lodestone.components.engines.weights import canonical_config, file_digest


def model_fingerprint(folder: Path) -> str:
    """What tells two embedding models apart whose vectors must not meet in one index.

    :param folder: The model's folder.
    :returns: A hex SHA-256 over the weights, the vocabulary and what configures pooling and length; the same for the
        same model wherever it lies.
    """
    parts: list[tuple[str, str]] = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or (path.is_symlink() and not path.exists()) or name.count("/") > 1:
            continue
        if path.suffix == ".safetensors" or (path.suffix == ".bin" and not _has_safetensors(path.parent)):
            parts.append((name, file_digest(path)))
        elif name == "tokenizer.json":
            parts.append((name, hashlib.sha256(path.read_bytes()).hexdigest()))
        elif _shapes_vectors(name):
            parts.append((name, canonical_config(path)))
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _has_safetensors(folder: Path) -> bool:
    return any(folder.glob("*.safetensors"))


def _shapes_vectors(name: str) -> bool:
    module = name.count("/") == 1 and name[0].isdigit() and name.endswith("/config.json")
    return (
        module or name in {"config.json", "modules.json"} or (name.startswith("sentence_") and name.endswith(".json"))
    )
