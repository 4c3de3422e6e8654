"""Vector indexes on a GPU."""

from typing import Any

from lodestone.components.errors import ConfigurationError
from lodestone.components.stores.index_types.index_type import import_faiss

# Of FAISS on GPUs: so many hits a query, and so many clusters looked at, at most.
MOST_HITS = 2048
MOST_EFFORT = 2048


def check_gpu() -> None:
    """Make sure that faiss can use a GPU.

    :raises ConfigurationError: If it cannot.
    """
    faiss = import_faiss()
    if not hasattr(faiss, "StandardGpuResources"):
        raise ConfigurationError(
            "this faiss cannot use GPUs: pip uninstall faiss-cpu and pip install 'lodestone[gpu]', or set device: cpu"
        )
    if faiss.get_num_gpus() < 1:
        raise ConfigurationError("faiss finds no GPU: check that nvidia-smi lists one, or set device: cpu")


class GpuIndex:
    """A copy of an index on the first GPU. It takes no selectors: a filtered search is the original's.

    :param index: A flat index, or one with clusters.
    :raises ConfigurationError: If it does not fit the GPU.
    """

    def __init__(self, index: Any) -> None:
        faiss = import_faiss()
        try:
            self._resources = faiss.StandardGpuResources()  # must live as long as the index
            self.index = faiss.index_cpu_to_gpu(self._resources, 0, index)
        except RuntimeError as error:
            raise ConfigurationError(
                f"the vector index does not fit the GPU, whose memory may be in use by others: use device: cpu. "
                f"faiss says: {error}"
            ) from error
