"""The component that embeds passages."""

import dataclasses
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from haystack import Document, component, default_from_dict, default_to_dict

from lodestone.components.embedders.embedding_model import (
    EmbeddingModel,
    checked_engine,
    checked_precision,
    model_fingerprint,
    shared_model,
)
from lodestone.components.errors import ConfigurationError
from lodestone.components.models.resolve import DEFAULT_EMBEDDER, resolve_model
from lodestone.components.passages import searchable_text

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_logger = logging.getLogger(__name__)


@component
class PassageEmbedder:
    """Embeds passages: their headings and their content.

    ### Usage example

    ```python
    from haystack import Document
    from lodestone import PassageEmbedder

    passages = [Document(content="You may carry over 240 hours.", meta={"headings": ["Leave"]})]
    print(len(PassageEmbedder().run(passages)["documents"][0].embedding))  # 384
    ```
    """

    def __init__(
        self,
        model: str = DEFAULT_EMBEDDER,
        batch_size: int = 32,
        device: str | None = None,
        progress_bar: bool = False,
        precision: str = "auto",
        engine: str = "auto",
    ) -> None:
        """Create an embedder; the model is loaded when it warms up.

        :param model: Name or folder of a sentence-transformers model.
        :param batch_size: The most passages of a forward pass, at least 1.
        :param device: `"cpu"`, `"cuda"`, `"cuda:1"`, ... None takes CUDA where there is some, else the CPU.
        :param progress_bar: Whether to draw a progress bar on stderr.
        :param precision: What the model computes in: `"float32"`, `"bfloat16"`, `"float16"` (by torch), `"int8"` (after
            `lodestone quantize`), or `"auto"` for the fastest here whose vectors stay close to those of float32.
        :param engine: What runs the model: `"openvino"`, `"torch"`, or `"auto"` for the fastest here.
        :raises ConfigurationError: A value is out of its range.
        """
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1:
            raise ConfigurationError(f"batch_size must be a whole number of at least 1, got {batch_size!r}")
        self.model = model
        self.batch_size = batch_size
        self.device = device
        self.progress_bar = progress_bar
        self.precision = checked_precision(precision)
        self.engine = checked_engine(engine)
        self._loaded: EmbeddingModel | None = None

    def to_dict(self) -> dict[str, Any]:
        """Describe the component for YAML.

        :returns: Its type and the parameters it was created with; nothing that this machine chose is written down.
        """
        chosen = {name: value for name in ("precision", "engine") if (value := getattr(self, name)) != "auto"}
        return default_to_dict(
            self,
            model=self.model,
            batch_size=self.batch_size,
            device=self.device,
            progress_bar=self.progress_bar,
            **chosen,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "PassageEmbedder":
        """Create the component that `to_dict` described.

        :param data: What `to_dict` returned.
        :returns: The component.
        """
        embedder: PassageEmbedder = default_from_dict(cls, data)
        return embedder

    @property
    def fingerprint(self) -> str:
        """A hex SHA-256 of the model: its vectors cannot stand in one index with another one's. Loads no weights."""
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

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, list[Document]]:
        """Embed passages.

        :param documents: Passages; one without content and headings gets the embedding of an empty text, and a warning.
        :returns: `documents`: copies in the same order, with the same ids, and `embedding` set.
        """
        texts = [searchable_text(document) for document in documents]
        for document, text in zip(documents, texts, strict=True):
            if not text.strip():
                _logger.warning("Passage %s has no text; it is embedded as an empty one", document.id)
        vectors = self.embed(texts)
        embedded = [
            dataclasses.replace(document, embedding=vector.tolist())
            for document, vector in zip(documents, vectors, strict=True)
        ]
        return {"documents": embedded}

    def embed(self, texts: Sequence[str]) -> "npt.NDArray[np.float32]":
        """Embed the searchable texts of passages.

        :param texts: Any number of texts.
        :returns: float32 of shape (n, dimension), in the order of the texts.
        """
        return self._warm().embed(texts, query=False, batch_size=self.batch_size, progress_bar=self.progress_bar)
