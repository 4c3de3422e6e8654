"""An embedding model as sentence-transformers runs it, in torch."""

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lodestone.components.embedders.fingerprint import model_fingerprint
from lodestone.components.engines import quiet_transformers
from lodestone.components.engines.engine import FloatArray
from lodestone.components.engines.torch_engine import auto_precision
from lodestone.components.errors import ConfigurationError


class TorchModel:
    """An embedding model on a GPU, or one that has modules of its own.

    :param folder: The model's folder; nothing is asked of the hub.
    :param device: A device of torch.
    :param precision: What the model computes in: `"float32"`, `"bfloat16"`, `"float16"`, or `"auto"`: on a CPU
        float32, on a GPU bfloat16 where it has it, else float16.
    :raises ConfigurationError: The folder holds no model that sentence-transformers can load.
    """

    def __init__(self, folder: Path, device: str, precision: str) -> None:
        from sentence_transformers import SentenceTransformer

        self.folder = folder
        self.device = device
        self.precision = auto_precision(device) if precision == "auto" else precision
        self._lock = threading.Lock()
        try:
            with quiet_transformers():
                self._model = SentenceTransformer(
                    str(folder), device=device, local_files_only=True, model_kwargs={"dtype": self.precision}
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

    def embed(self, texts: Sequence[str], query: bool, batch_size: int = 32, progress_bar: bool = False) -> FloatArray:
        """Embed texts: see `EmbeddingModel.embed`."""
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        encode = self._model.encode_query if query else self._model.encode_document
        # One forward pass at a time: two would fight for the same cores, or for the memory of one GPU.
        with self._lock:
            vectors = encode(list(texts), batch_size=batch_size, show_progress_bar=progress_bar, convert_to_numpy=True)
        return np.ascontiguousarray(vectors, dtype=np.float32)
