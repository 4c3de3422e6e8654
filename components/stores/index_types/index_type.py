"""What all index types have in common."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from lodestone.components.errors import LodestoneError

Floats = np.ndarray[Any, np.dtype[np.float32]]
Rows = np.ndarray[Any, np.dtype[np.int64]]
Bits = np.ndarray[Any, np.dtype[np.uint8]]


def import_faiss() -> Any:
    """Import faiss, which is an optional part of the installation.

    :raises LodestoneError: If it is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise LodestoneError(
            "searching by vectors needs faiss: pip install 'lodestone[cpu]' (or 'lodestone[gpu]' for NVIDIA GPUs)"
        ) from error
    return faiss


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let FAISS use so many threads for what this thread asks of it.

    One query alone gains little from more than one, and on a busy machine waits for the slowest of them.
    """
    faiss = import_faiss()
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


class IndexType(ABC):
    """Makes and searches FAISS indexes of one type. Scores are inner products: larger is better."""

    name: str
    exact: bool
    """Whether every search finds the nearest, with exact scores."""
    removes: bool
    """Whether vectors can be taken out."""
    gpu: bool
    """Whether a GPU can search it."""

    @abstractmethod
    def sample_size(self, vectors: int) -> int:
        """How many vectors an index for so many is trained with."""

    @abstractmethod
    def create(self, dim: int, vectors: int, sample: Floats) -> Any:
        """Make an empty index that vectors can be added to, with row numbers as ids.

        :param dim: Length of the vectors.
        :param vectors: How many there will be, roughly.
        :param sample: Vectors to train it with, shape (n, dim), float32.
        """

    @abstractmethod
    def ids(self, index: Any) -> Rows:
        """Row numbers of the vectors in an index, shape (n,), in any order."""

    @abstractmethod
    def efforts(self, index: Any) -> list[int]:
        """How hard a search may look, ascending; the last looks at every vector that may be found."""

    @abstractmethod
    def search(self, index: Any, queries: Floats, count: int, effort: int, allowed: Bits | None) -> tuple[Floats, Rows]:
        """Find the nearest vectors.

        :param index: An index that `create` made, or one that was read from its file.
        :param queries: Shape (n, dim), float32.
        :param count: How many to find for each.
        :param effort: One of `efforts`.
        :param allowed: One bit a row number, those that may be found; None for all.
        :returns: Scores and row numbers, each of shape (n, count), best first; row -1 where there are no more.
        """


def selector(allowed: Bits | None) -> Any:
    """FAISS's form of a bitmap of row numbers."""
    return None if allowed is None else import_faiss().IDSelectorBitmap(allowed)
