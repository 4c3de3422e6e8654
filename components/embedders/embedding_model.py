"""A sentence-transformers model in memory, shared by all components of a process that use it."""

import hashlib
import json
import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lodestone.components.engines import checked_device, quiet_transformers
from lodestone.components.errors import ConfigurationError
from lodestone.components.models.resolve import resolve_model

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

PRECISIONS = ("float32", "bfloat16", "float16")
# They say who wrote a file and how it is loaded, not what the model computes.
_VOLATILE = frozenset({"_name_or_path", "name_or_path", "transformers_version", "torch_dtype", "dtype", "use_cache"})
_BLOCK = 1 << 22

_models: dict[tuple[str, str, str], "EmbeddingModel"] = {}
_lock = threading.Lock()


def shared_model(name: str, device: str | None, precision: str) -> "EmbeddingModel":
    """Load a model, or return it where it was loaded before.

    :param name: A model's name or folder, as for `resolve_model`.
    :param device: `"cpu"`, `"cuda"`, `"cuda:1"`, ...; None for CUDA where there is some, else the CPU.
    :param precision: One of `PRECISIONS`.
    :returns: One object for the same folder, device and precision within a process.
    :raises ConfigurationError: The model, device or precision does not exist.
    """
    folder, device = resolve_model(name).resolve(), checked_device(device)
    key = (str(folder), device, precision)
    with _lock:
        if key not in _models:
            _models[key] = EmbeddingModel(folder, device, precision)
        return _models[key]


def checked_precision(precision: str) -> str:
    """Refuse a precision that there is not.

    :param precision: Any value.
    :returns: The value, one of `PRECISIONS`.
    :raises ConfigurationError: It is another.
    """
    if precision not in PRECISIONS:
        raise ConfigurationError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    return precision


@lru_cache(maxsize=32)
def _file_digest(path: str, size: int, modified: int) -> str:
    """SHA-256 of a file; size and time of change are there to make the cache forget a file that was replaced."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


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
            status = path.stat()
            parts.append((name, _file_digest(str(path), status.st_size, status.st_mtime_ns)))
        elif name == "tokenizer.json":
            parts.append((name, hashlib.sha256(path.read_bytes()).hexdigest()))
        elif _shapes_vectors(name):
            parts.append((name, _canonical(path)))
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _has_safetensors(folder: Path) -> bool:
    return any(folder.glob("*.safetensors"))


def _shapes_vectors(name: str) -> bool:
    module = name.count("/") == 1 and name[0].isdigit() and name.endswith("/config.json")
    return (
        module or name in {"config.json", "modules.json"} or (name.startswith("sentence_") and name.endswith(".json"))
    )


def _canonical(path: Path) -> str:
    try:
        value: Any = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return path.read_text(encoding="utf-8", errors="replace")
    if isinstance(value, dict):
        value = {key: item for key, item in value.items() if key not in _VOLATILE}
    return json.dumps(value, sort_keys=True)


class EmbeddingModel:
    """A loaded model. Its vectors are what the model's own modules make, normalised only where they say so."""

    def __init__(self, folder: Path, device: str, precision: str) -> None:
        """Load a model from its folder; nothing is asked of the hub.

        :param folder: The model's folder.
        :param device: A device of torch.
        :param precision: One of `PRECISIONS`: what the model computes in.
        :raises ConfigurationError: The folder holds no model that sentence-transformers can load.
        """
        from sentence_transformers import SentenceTransformer

        self.folder = folder
        self.device = device
        self._lock = threading.Lock()
        try:
            with quiet_transformers():
                self._model = SentenceTransformer(
                    str(folder), device=device, local_files_only=True, model_kwargs={"dtype": precision}
                )
        except (OSError, ValueError, KeyError) as error:
            raise ConfigurationError(f"{str(folder)!r} holds no embedding model: {error}") from error
        self._model.eval()

    @property
    def dimension(self) -> int:
        """The length of a vector."""
        return int(self._model.get_embedding_dimension() or 0)

    @property
    def fingerprint(self) -> str:
        """What `model_fingerprint` says of the folder."""
        return model_fingerprint(self.folder)

    def embed(
        self, texts: Sequence[str], query: bool, batch_size: int = 32, progress_bar: bool = False
    ) -> "npt.NDArray[np.float32]":
        """Embed texts.

        :param texts: Any number of texts; what is longer than the model takes is cut off.
        :param query: Whether they are questions or passages: models with prompts have one for each.
        :param batch_size: Texts a forward pass; texts of like length are put together.
        :param progress_bar: Whether to draw a progress bar on stderr.
        :returns: float32 of shape (n, dimension), in the order of the texts.
        """
        import numpy as np

        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        encode = self._model.encode_query if query else self._model.encode_document
        # One forward pass at a time: two would fight for the same cores, or for the memory of one GPU.
        with self._lock:
            vectors = encode(list(texts), batch_size=batch_size, show_progress_bar=progress_bar, convert_to_numpy=True)
        return np.ascontiguousarray(vectors, dtype=np.float32)
