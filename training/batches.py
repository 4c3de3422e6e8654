"""The order of the data: a function of seed and epoch alone, so that a resumed run goes on as if never stopped."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

# So many batches' windows are sorted by length together: enough that little is padded, few enough to stay random.
_SORTED_TOGETHER = 64


class BatchOrder:
    """The batches of one process, epoch by epoch: windows of similar length, the batches in random order.

    Windows at the beginning of an epoch's order are used twice where their number does not fill the last step, so that
    all steps are alike, and the same in however many processes.

    :param lengths: Tokens of each window, int64, shape (windows,).
    :param batch_size: Windows of a batch.
    :param seed: Of the order.
    :param process: This process's number.
    :param processes: How many there are.
    :param passes: How many batches of each make a step.
    """

    def __init__(
        self,
        lengths: NDArray[np.int64],
        batch_size: int,
        seed: int,
        process: int = 0,
        processes: int = 1,
        passes: int = 1,
    ) -> None:
        self.batch_size = batch_size
        self.drop_last = False
        self._lengths = lengths
        self._seed = seed
        self._process = process
        self._processes = processes
        self._passes = passes
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Which epoch comes next, from 0."""
        self._epoch = epoch

    def __len__(self) -> int:
        step = self.batch_size * self._processes * self._passes
        return -(-len(self._lengths) // step) * self._passes

    def __iter__(self) -> Iterator[list[int]]:
        chance = np.random.default_rng((self._seed, self._epoch))
        order = chance.permutation(len(self._lengths))
        order = np.resize(order, len(self) * self._processes * self.batch_size)
        sorted_ = np.concatenate([part[self._by_length(part)] for part in self._parts(order)])
        batches = sorted_.reshape(-1, self.batch_size)
        batches = batches[chance.permutation(len(batches))]
        for batch in batches[self._process :: self._processes]:
            yield batch.tolist()

    def _parts(self, order: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        size = self.batch_size * _SORTED_TOGETHER
        return [order[start : start + size] for start in range(0, len(order), size)]

    def _by_length(self, part: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.argsort(self._lengths[part], kind="stable")
