"""Small batches on a GPU without a kernel launch from Python for every operation."""

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lodestone.components.engines.independent import Forward

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

Tensors = dict[str, "torch.Tensor"]
# Above that many tokens the GPU computes longer than Python takes to launch.
MOST_TOKENS = 16384
_MOST_GRAPHS = 48
_WARM_UPS = 3
# Of bfloat16, in logits or hidden states of a few units: the same kernels give the same values, others these at most.
_TOLERANCE = 0.05


@dataclass(frozen=True)
class _Graph:
    replay: Any
    inputs: Tensors
    outputs: Tensors


class CudaGraphs:
    """A model's forward pass recorded once for every shape, then replayed.

    A shape is recorded when it comes the second time. What was recorded is compared with the model itself, on two
    inputs, before it is ever used; a model that cannot be recorded, or that comes out different, is run as it is from
    then on. Thread-safe.

    :param model: The forward pass.
    :param outputs: Which of its outputs are wanted.
    :param device: The GPU.
    """

    def __init__(self, model: Forward, outputs: tuple[str, ...], device: str) -> None:
        import torch

        self._model = model
        self._outputs = outputs
        self._device = torch.device(device)
        self._pool: Any = None
        self._stream: Any = None
        self._seen: set[tuple[int, int]] = set()
        self._graphs: dict[tuple[int, int], _Graph] = {}
        self._usable = True
        self._lock = threading.Lock()

    def forward(self, tensors: Tensors) -> Tensors:
        """Run one batch; nothing is waited for.

        :param tensors: The model's inputs, on the device, shape (windows, tokens).
        :returns: The wanted outputs, float32, on the device.
        """
        import torch

        rows, tokens = tensors["input_ids"].shape
        # All that is replayed shares its memory, so that it must come one after the other, on one stream.
        main = torch.cuda.current_stream(self._device) == torch.cuda.default_stream(self._device)
        if not self._usable or not main or rows * tokens > MOST_TOKENS:
            return self._plain(tensors)
        with self._lock:
            graph = self._graphs.get((rows, tokens))
            if graph is not None:
                return self._replayed(graph, tensors)
            if (rows, tokens) in self._seen and len(self._graphs) < _MOST_GRAPHS:
                self._add(tensors)
            self._seen.add((rows, tokens))
        return self._plain(tensors)

    def _plain(self, tensors: Mapping[str, "torch.Tensor"]) -> Tensors:
        found = self._model(**tensors)
        return {name: found[name].float() for name in self._outputs}

    @staticmethod
    def _replayed(graph: _Graph, tensors: Tensors) -> Tensors:
        for name, tensor in tensors.items():
            graph.inputs[name].copy_(tensor)
        graph.replay()
        # Copied, since the next replay writes into the same memory; the stream keeps the order.
        return {name: tensor.clone() for name, tensor in graph.outputs.items()}

    def _add(self, tensors: Tensors) -> None:
        """Record this shape, or give recording up."""
        import torch

        try:
            # A recording that fails may leave its own stream behind as the current one.
            with torch.cuda.device(self._device), torch.cuda.stream(torch.cuda.current_stream(self._device)):
                graph = self._recorded(tensors)
            if all(self._same(graph, given) for given in (tensors, {n: t.flip(0) for n, t in tensors.items()})):
                rows, tokens = tensors["input_ids"].shape
                self._graphs[rows, tokens] = graph
                return
            reason = "the replayed model does not compute what the model does"
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
        self._usable = False
        self._graphs.clear()
        logger.info("CUDA graphs are not used: %s", reason)

    def _recorded(self, tensors: Tensors) -> _Graph:
        import torch

        inputs = {name: tensor.clone() for name, tensor in tensors.items()}
        # Libraries set themselves up in the first passes, which must not be recorded.
        if self._stream is None:
            self._stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
            self._pool = torch.cuda.graph_pool_handle()
        side = self._stream
        side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(side):
            for _ in range(_WARM_UPS):
                self._plain(inputs)
        torch.cuda.current_stream(self._device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=side, capture_error_mode="thread_local"):
            outputs = self._plain(inputs)
        return _Graph(graph.replay, inputs, outputs)

    def _same(self, graph: _Graph, tensors: Tensors) -> bool:
        import torch

        real = tensors["attention_mask"] == 1
        found, expected = self._replayed(graph, tensors), self._plain(tensors)
        return all(
            torch.allclose(found[name][real], expected[name][real], rtol=_TOLERANCE, atol=_TOLERANCE)
            for name in self._outputs
        )
