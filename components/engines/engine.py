"""What every engine offers, whatever library runs the model."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]
Inputs = Mapping[str, IntArray]
Outputs = dict[str, FloatArray]


class Engine(Protocol):
    """Runs the forward pass of one model. Thread-safe once it is made."""

    max_length: int
    """The most tokens a window may have: what the model has positions for."""

    takes_segments: bool
    """Whether the model tells question and passage apart by `token_type_ids`."""

    device: str
    """Where it runs: `"cpu"`, `"cuda:0"`, ..."""

    precision: str
    """What it computes in: `"float32"`, `"bfloat16"`, `"float16"` or `"int8"`."""

    batch_tokens: int
    """Tokens of a batch, padding counted, at which this engine is about as fast as it gets. Less is slower, more takes
    memory and leaves fewer batches to run side by side."""

    def forward(self, inputs: Inputs) -> Outputs:
        """Run one batch.

        :param inputs: `input_ids`, `attention_mask` and, where `takes_segments`, `token_type_ids`: int64, shape
            (windows, tokens), padded on the right.
        :returns: The model's outputs by name, float32; of a reader `start_logits` and `end_logits`, each of the
            inputs' shape; of an encoder `last_hidden_state`, shape (windows, tokens, dimension).
        """
        ...

    def forward_many(self, batches: Iterable[Inputs]) -> Iterator[Outputs]:
        """Run many batches, drawing the next ones from `batches` while earlier ones are computed.

        :param batches: Inputs as in `forward`; they may be made on the fly.
        :returns: For each batch, in order, what `forward` gives.
        """
        ...
