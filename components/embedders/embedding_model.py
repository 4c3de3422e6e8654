"""A sentence-transformers model in memory, shared by all components of a process that use it."""

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lodestone.components.embedders.engine_model import EngineModel
from lodestone.components.embedders.fingerprint import model_fingerprint
from lodestone.components.embedders.sentence_folder import UnknownModuleError, read_folder
from lodestone.components.embedders.torch_model import TorchModel
from lodestone.components.engines import ENCODER, checked_device, checked_engine, checked_precision, make_engine
from lodestone.components.errors import ConfigurationError
from lodestone.components.models.resolve import resolve_model

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["EmbeddingModel", "checked_engine", "checked_precision", "model_fingerprint", "shared_model"]

logger = logging.getLogger(__name__)

_models: dict[tuple[str, str, str, str], "EmbeddingModel"] = {}
_lock = threading.Lock()


class EmbeddingModel(Protocol):
    """A loaded model. Its vectors are what the model's own modules make, normalised only where they say so."""

    folder: Path

    @property
    def dimension(self) -> int:
        """The length of a vector."""
        ...

    @property
    def fingerprint(self) -> str:
        """What `model_fingerprint` says of the folder."""
        ...

    @property
    def precision(self) -> str:
        """What the model computes in."""
        ...

    def embed(
        self, texts: Sequence[str], query: bool, batch_size: int = 32, progress_bar: bool = False
    ) -> "npt.NDArray[np.float32]":
        """Embed texts.

        :param texts: Any number of texts; what is longer than the model takes is cut off.
        :param query: Whether they are questions or passages: models with prompts have one for each.
        :param batch_size: The most texts of a forward pass; texts of like length are put together.
        :param progress_bar: Whether to draw a progress bar on stderr.
        :returns: float32 of shape (n, dimension), in the order of the texts.
        """
        ...


def shared_model(name: str, device: str | None, precision: str, engine: str = "auto") -> EmbeddingModel:
    """Load a model, or return it where it was loaded before.

    :param name: A model's name or folder, as for `resolve_model`.
    :param device: `"cpu"`, `"cuda"`, `"cuda:1"`, ...; None for CUDA where there is some, else the CPU.
    :param precision: One of `PRECISIONS`.
    :param engine: One of `ENGINES`.
    :returns: One object for the same folder, device, precision and engine within a process.
    :raises ConfigurationError: The model, device, precision or engine does not exist.
    """
    checked_precision(precision)
    folder, device = resolve_model(name).resolve(), checked_device(device)
    key = (str(folder), device, precision, checked_engine(engine))
    with _lock:
        if key not in _models:
            _models[key] = _load(folder, device, precision, engine)
        return _models[key]


def _load(folder: Path, device: str, precision: str, engine: str) -> EmbeddingModel:
    if engine != "openvino" and (device != "cpu" or engine == "torch" or precision == "float16"):
        if precision == "int8":
            raise ConfigurationError("precision 'int8' is for the openvino engine, on a CPU")
        return TorchModel(folder, device, precision)
    try:
        parts = read_folder(folder)
    except UnknownModuleError as reason:
        if engine == "openvino" or precision == "int8":
            raise ConfigurationError(f"{folder} cannot be run by OpenVINO: {reason}; use engine 'torch'") from reason
        logger.warning("%s is run by sentence-transformers, which is slower: %s", folder, reason)
        return TorchModel(folder, device, precision)
    encoder = make_engine(parts.encoder, ENCODER, device=device, engine=engine, precision=precision)
    return EngineModel(folder, parts, encoder)
