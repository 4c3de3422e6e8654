"""The component that embeds questions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from haystack import component, default_from_dict, default_to_dict

from lodestone.components.embedders.embedding_model import (
    EmbeddingModel,
    checked_engine,
    checked_precision,
    model_fingerprint,
    shared_model,
)
from lodestone.components.errors import ConfigurationError
from lodestone.components.models.resolve import DEFAULT_EMBEDDER, resolve_model

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@component
class TextEmbedder:
    """Embeds a question, with the model that embedded the passages.

    ### Usage example

    ```python
    from lodestone import TextEmbedder

    embedding = TextEmbedder().run("How many hours of leave can be carried over?")["embedding"]
    print(len(embedding))  # 384
    ```
    """

    def __init__(
        self, model: str = DEFAULT_EMBEDDER, device: str | None = None, precision: str = "auto", engine: str = "auto"
    ) -> None:
        """Create an embedder; the model is loaded when it warms up.

        :param model: Name or folder of a sentence-transformers model.
        :param device: `"cpu"`, `"cuda"`, `"cuda:1"`, ... None takes CUDA where there is some, else the CPU.
        :param precision: What the model computes in: `"float32"`, `"bfloat16"`, `"float16"` (by torch), `"int8"` (after
            `lodestone quantize`), or `"auto"` for the fastest here whose vectors stay close to those of float32.
        :param engine: What runs the model: `"openvino"`, `"torch"`, or `"auto"` for the fastest here.
        :raises ConfigurationError: There is no such precision or engine.
        """
        self.model = model
        self.device = device
        self.precision = checked_precision(precision)
        self.engine = checked_engine(engine)
        self._loaded: EmbeddingModel | None = None

    def to_dict(self) -> dict[str, Any]:
        """Describe the component for YAML.

        :returns: Its type and the parameters it was created with; nothing that this machine chose is written down.
        """
        chosen = {name: value for name in ("precision", "engine") if (value := getattr(self, name)) != "auto"}
        return default_to_dict(self, model=self.model, device=self.device, **chosen)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "TextEmbedder":
        """Create the component that `to_dict` described.

        :param data: What `to_dict` returned.
        :returns: The component.
        """
        embedder: TextEmbedder = default_from_dict(cls, data)
        return embedder

    @property
    def fingerprint(self) -> str:
        """A hex SHA-256 of the model: an index made by another one cannot be searched with it. Loads no weights."""
        return model_fingerprint(resolve_model(self.model))

    @property
    def dimension(self) -> int:
        """The length of an embedding. Loads the model."""
        return self._warm().dimension

    def warm_up(self) -> None:
        """Load the model, or take the one that another component of this process loaded.

        :raises ConfigurationError: The model or the device does not exist.
        """
        self._warm()

    def _warm(self) -> EmbeddingModel:
        if self._loaded is None:
            self._loaded = shared_model(self.model, self.device, self.precision, self.engine)
        return self._loaded

    @component.output_types(embedding=list[float])
    def run(self, text: str) -> dict[str, list[float]]:
        """Embed a question.

        :param text: The question; what is longer than the model takes is cut off.
        :returns: `embedding`: a list of `dimension` numbers.
        :raises ConfigurationError: The text is no string.
        """
        if not isinstance(text, str):
            raise ConfigurationError(f"text must be a string, got {type(text).__name__}")
        embedding: list[float] = self.embed([text])[0].tolist()
        return {"embedding": embedding}

    def embed(self, texts: Sequence[str]) -> "npt.NDArray[np.float32]":
        """Embed many questions in few forward passes.

        :param texts: Any number of questions.
        :returns: float32 of shape (n, dimension), in the order of the texts.
        """
        return self._warm().embed(texts, query=True)
