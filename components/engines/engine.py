"""What every engine offers, whatever library runs the model."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]


class Engine(Protocol):
    """Runs the forward pass of one model. Thread-safe once it is made."""

    max_length: int
    """The most tokens a window may have: what the model has positions for."""

    takes_segments: bool
    """Whether the model tells question and passage apart by `token_type_ids`."""

    def forward(self, inputs: Mapping[str, IntArray]) -> dict[str, FloatArray]:
        """Run one batch.

        :param inputs: `input_ids`, `attention_mask` and, where `takes_segments`, `token_type_ids`: int64, shape
            (windows, tokens), padded on the right.
        :returns: The model's outputs by name, float32; of a reader `start_logits` and `end_logits`, each of the
            inputs' shape.
        """
        ...
