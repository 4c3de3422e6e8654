"""From one vector a token to one vector a text, as sentence-transformers' modules do it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lodestone.components.engines.engine import FloatArray, IntArray

Step = Callable[[FloatArray], FloatArray]


def _mean(tokens: FloatArray, mask: FloatArray) -> FloatArray:
    return _divided(_weighted_sum(tokens, mask), mask.sum(axis=1))


def _mean_sqrt_len(tokens: FloatArray, mask: FloatArray) -> FloatArray:
    return _divided(_weighted_sum(tokens, mask), np.sqrt(mask.sum(axis=1)))


def _weighted_mean(tokens: FloatArray, mask: FloatArray) -> FloatArray:
    weights: FloatArray = mask * np.arange(1, mask.shape[1] + 1, dtype=np.float32)
    return _divided(_weighted_sum(tokens, weights), weights.sum(axis=1))


def _max(tokens: FloatArray, mask: FloatArray) -> FloatArray:
    highest: FloatArray = np.where(mask[:, :, None] > 0, tokens, np.float32(-np.inf)).max(axis=1)
    return highest


def _cls(tokens: FloatArray, mask: FloatArray) -> FloatArray:
    return tokens[:, 0]


def _last_token(tokens: FloatArray, mask: FloatArray) -> FloatArray:
    last: FloatArray = tokens[np.arange(len(tokens)), mask.sum(axis=1).astype(np.int64) - 1]
    return last


def _weighted_sum(tokens: FloatArray, weights: FloatArray) -> FloatArray:
    sums: FloatArray = np.matmul(weights[:, None, :], tokens)[:, 0]
    return sums


def _divided(sums: FloatArray, by: FloatArray) -> FloatArray:
    quotients: FloatArray = np.divide(sums, np.maximum(by, np.float32(1e-9))[:, None], dtype=np.float32)
    return quotients


POOLING_MODES: dict[str, Callable[[FloatArray, FloatArray], FloatArray]] = {
    "cls": _cls,
    "max": _max,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_sqrt_len,
    "weightedmean": _weighted_mean,
    "lasttoken": _last_token,
}


def pooled(tokens: FloatArray, attention_mask: IntArray, modes: tuple[str, ...]) -> FloatArray:
    """Pool the vectors of a batch's tokens.

    :param tokens: float32, shape (texts, tokens, dimension).
    :param attention_mask: int64, shape (texts, tokens), 0 where padded, which is on the right.
    :param modes: Names in `POOLING_MODES`; the vectors of several are joined end to end.
    :returns: float32, shape (texts, dimension times modes).
    """
    mask = attention_mask.astype(np.float32)
    parts = [POOLING_MODES[mode](tokens, mask) for mode in modes]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def normalized(vectors: FloatArray) -> FloatArray:
    """Vectors of length 1; one of zeros stays so."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    unit: FloatArray = vectors / np.maximum(lengths, np.float32(1e-12))
    return unit


def _tanh(vectors: FloatArray) -> FloatArray:
    return np.tanh(vectors)


def _identity(vectors: FloatArray) -> FloatArray:
    return vectors


def _relu(vectors: FloatArray) -> FloatArray:
    return np.maximum(vectors, np.float32(0))


ACTIVATIONS: dict[str, Step] = {
    "torch.nn.modules.activation.Tanh": _tanh,
    "torch.nn.modules.linear.Identity": _identity,
    "torch.nn.modules.activation.ReLU": _relu,
}


@dataclass(frozen=True)
class Dense:
    """A linear layer behind the pooling.

    :param weight: float32, shape (out, in).
    :param bias: float32, shape (out,), or None.
    :param activation: A name in `ACTIVATIONS`.
    """

    weight: FloatArray
    bias: FloatArray | None
    activation: str

    def __call__(self, vectors: FloatArray) -> FloatArray:
        """Apply the layer to vectors of shape (texts, in)."""
        out = vectors @ self.weight.T
        if self.bias is not None:
            out = out + self.bias
        return ACTIVATIONS[self.activation](out).astype(np.float32, copy=False)
