"""The engine that always works: transformers' own model, run by torch."""

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lodestone.components.engines.buckets import gpu_shape, padded
from lodestone.components.engines.cuda_graphs import CudaGraphs
from lodestone.components.engines.device import checked_device
from lodestone.components.engines.engine import Inputs, Outputs
from lodestone.components.engines.independent import independent_forward
from lodestone.components.engines.loading import load_model, max_length, takes_segments
from lodestone.components.engines.task import READER, Task

if TYPE_CHECKING:
    import torch

_CPU_BATCH_TOKENS = 4096
_GPU_BATCH_TOKENS = 16384
# Batches on a GPU at once: one is computed, one waits behind it, so that the GPU never waits for Python.
_AHEAD = 2


class _Running(NamedTuple):
    """A batch that was sent off: where its outputs come to lie, and the mark behind which they do."""

    outputs: "dict[str, torch.Tensor]"
    done: "torch.cuda.Event | None"


class TorchEngine:
    """A model's forward pass in torch.

    :param folder: The model folder: config.json and weights.
    :param device: See `checked_device`.
    :param model_kwargs: Passed on to `from_pretrained`; a `dtype` among them goes before `precision`.
    :param task: What the model is for.
    :param precision: `"float32"`, `"bfloat16"`, `"float16"`, or `"auto"`: on a CPU float32, on a GPU bfloat16 where it
        has it, else float16.
    :raises ConfigurationError: If the folder holds no model for this task.
    """

    def __init__(
        self,
        folder: Path,
        device: str | None = None,
        model_kwargs: dict[str, Any] | None = None,
        task: Task = READER,
        precision: str = "auto",
    ) -> None:
        import torch

        kwargs = dict(model_kwargs) if model_kwargs is not None else {}
        self.device = checked_device(device)
        if "dtype" not in kwargs and "torch_dtype" not in kwargs:
            kwargs["dtype"] = getattr(torch, auto_precision(self.device) if precision == "auto" else precision)
        model = load_model(folder, task, **kwargs)
        if "device_map" in kwargs:
            self.device = str(model.device)
        else:
            model.to(self.device)
        self._model = independent_forward(model)
        self._outputs = task.outputs
        self._on_gpu = self.device.startswith("cuda")
        # The two families that need care with what is read together are neither padded nor recorded.
        plain = self._model is model
        self._graphs = CudaGraphs(model, task.outputs, self.device) if self._on_gpu and plain else None
        self.precision = str(model.dtype).removeprefix("torch.")
        self.batch_tokens = _CPU_BATCH_TOKENS if self.device == "cpu" else _GPU_BATCH_TOKENS
        self.max_length = max_length(model.config)
        self.takes_segments = takes_segments(model)

    def forward(self, inputs: Inputs) -> Outputs:
        """Run one batch: see `Engine.forward`."""
        return self._arrays(self._start(inputs))

    def forward_many(self, batches: Iterable[Inputs]) -> Iterator[Outputs]:
        """Run many batches: see `Engine.forward_many`. On a GPU the next ones are sent while one is computed."""
        running: deque[_Running] = deque()
        for inputs in batches:
            running.append(self._start(inputs))
            if not self._on_gpu or len(running) > _AHEAD:
                yield self._arrays(running.popleft())
        while running:
            yield self._arrays(running.popleft())

    def _start(self, inputs: Inputs) -> "_Running":
        """Send a batch to the device and start on it; on a GPU this returns before anything is computed."""
        import torch

        rows, tokens = inputs["input_ids"].shape
        with torch.inference_mode():
            if self._graphs is not None:
                inputs = padded(inputs, *gpu_shape(rows, tokens, self.max_length))
            tensors = {name: self._sent(torch.from_numpy(array)) for name, array in inputs.items()}
            if self._graphs is not None:
                outputs = self._graphs.forward(tensors)
            else:
                result = self._model(**tensors)
                outputs = {name: result[name].float() for name in self._outputs}
            if not self._on_gpu:
                return _Running({name: tensor.cpu() for name, tensor in outputs.items()}, None)
            fetched = {}
            # Of a reader this is 8 bytes a token, 3 MB for 1,024 windows of 384: too little to look for spans there.
            for name, tensor in outputs.items():
                wanted = tensor[:rows, :tokens].contiguous()
                fetched[name] = torch.empty(wanted.shape, dtype=wanted.dtype, pin_memory=True)
                fetched[name].copy_(wanted, non_blocking=True)
            # The copies are done once the GPU has come to this mark; other streams and batches are not waited for.
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            done.record(torch.cuda.current_stream(self.device))
            return _Running(fetched, done)

    def _sent(self, tensor: "torch.Tensor") -> "torch.Tensor":
        # From pinned memory a copy runs beside the computation of the batch before.
        return tensor.pin_memory().to(self.device, non_blocking=True) if self._on_gpu else tensor.to(self.device)

    @staticmethod
    def _arrays(running: "_Running") -> Outputs:
        if running.done is not None:
            running.done.synchronize()
        return {name: tensor.numpy().astype(np.float32, copy=False) for name, tensor in running.outputs.items()}


def auto_precision(device: str) -> str:
    """The precision for a device: on a CPU float32, on a GPU bfloat16 where it has it, else float16."""
    import torch

    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    return "float32"
