"""The engine for CPUs: a converted model, run by OpenVINO."""

import logging
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lodestone.components.engines.buckets import cropped, padded, rounded
from lodestone.components.engines.cache import find_entry, store_entry
from lodestone.components.engines.conversion import MODEL_FILE, convert, write_converted
from lodestone.components.engines.engine import Inputs, Outputs
from lodestone.components.engines.task import READER, Task

if TYPE_CHECKING:
    import openvino

logger = logging.getLogger(__name__)

_HINTS = {"float32": "f32", "bfloat16": "bf16"}
_KEPT_REQUESTS = 16
_BATCH_TOKENS = 1024
# OpenVINO prepares its kernels for every shape that it has not seen: in int8 a third of the time of the batch itself.
_TOKENS_STEP = 16


class OpenVinoEngine:
    """A model's forward pass in OpenVINO on the CPU.

    The model is converted at its first use and kept on disk; from then on neither torch nor transformers is imported.

    :param folder: The model folder: config.json and weights.
    :param task: What the model is for.
    :param precision: `"float32"`, `"bfloat16"`, or `"int8"` where `lodestone quantize` made a quantized model.
    :raises ConversionError: The model cannot be converted.
    :raises LookupError: `precision` is `"int8"` and there is no quantized model.
    :raises ConfigurationError: The folder holds no such model.
    """

    device = "cpu"
    batch_tokens = _BATCH_TOKENS

    def __init__(self, folder: Path, task: Task = READER, precision: str = "float32") -> None:
        self.precision = precision
        model, facts = open_converted(folder, task, "int8" if precision == "int8" else "float32")
        self.max_length: int = facts["max_length"]
        self.takes_segments: bool = facts["takes_segments"]
        self._outputs = task.outputs
        hint = best_precision() if precision == "int8" else precision
        # A stream a core, each batch on a core of its own: no core ever waits for another one inside a layer.
        self._streams = available_cores()
        self._compiled = core().compile_model(
            model,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": _HINTS[hint],
                "PERFORMANCE_HINT": "THROUGHPUT",
                "NUM_STREAMS": self._streams,
                "INFERENCE_NUM_THREADS": self._streams,
            },
        )
        self._free: list[openvino.InferRequest] = []
        self._lock = threading.Lock()

    def forward(self, inputs: Inputs) -> Outputs:
        """Run one batch: see `Engine.forward`."""
        return next(self.forward_many([inputs]))

    def forward_many(self, batches: Iterable[Inputs]) -> Iterator[Outputs]:
        """Run many batches on all cores: see `Engine.forward_many`."""
        running: deque[tuple[openvino.InferRequest, int, int]] = deque()
        try:
            for inputs in batches:
                # One more than there are streams waits its turn, so that a stream that is done has work at once.
                if len(running) > self._streams:
                    yield self._finished(running)
                request = self._request()
                rows, tokens = inputs["input_ids"].shape
                shaped = padded(inputs, rows, rounded(tokens, _TOKENS_STEP, self.max_length))
                request.start_async({name: np.ascontiguousarray(array) for name, array in shaped.items()})
                running.append((request, rows, tokens))
            while running:
                yield self._finished(running)
        finally:
            for request, _, _ in running:
                request.wait()
            self._give_back(request for request, _, _ in running)

    def _finished(self, running: "deque[tuple[openvino.InferRequest, int, int]]") -> Outputs:
        request, rows, tokens = running[0]
        request.wait()
        found = cropped({name: request.get_tensor(name).data for name in self._outputs}, rows, tokens)
        # Copied, since the request writes its next outputs into the same memory.
        outputs = {name: np.array(array, dtype=np.float32) for name, array in found.items()}
        running.popleft()
        self._give_back([request])
        return outputs

    def _request(self) -> "openvino.InferRequest":
        with self._lock:
            if self._free:
                return self._free.pop()
        return self._compiled.create_infer_request()

    def _give_back(self, requests: "Iterable[openvino.InferRequest]") -> None:
        with self._lock:
            self._free.extend(requests)
            del self._free[_KEPT_REQUESTS:]


def open_converted(folder: Path, task: Task, weights: str) -> "tuple[openvino.Model, dict[str, Any]]":
    """The converted model: from the cache where it is there and whole, else made and put there.

    :param folder: The model's folder.
    :param task: What the model is for.
    :param weights: `"float32"` or `"int8"`; the latter is not made here.
    :returns: The model, and what an engine has to know of it: `max_length`, `takes_segments`.
    :raises ConversionError: The model cannot be converted.
    :raises LookupError: There is no int8 model.
    """
    kind = entry_kind(task, weights)
    found = find_entry(folder, kind)
    if found is not None:
        try:
            return core().read_model(found[0] / MODEL_FILE), found[1]
        except RuntimeError as error:
            logger.info("%s cannot be read (%s); it is made again", found[0], error)
    if weights == "int8":
        raise LookupError(f"there is no int8 model of {folder}; make it with `lodestone quantize {folder}`")
    try:
        entry, facts = store_entry(
            folder, kind, lambda target: write_converted(folder, task, target), replace=found is not None
        )
    except OSError as error:
        logger.warning("The converted model cannot be kept (%s); set LODESTONE_CACHE to a folder that can be", error)
        return convert(folder, task)
    return core().read_model(entry / MODEL_FILE), facts


def entry_kind(task: Task, weights: str) -> str:
    """What a cache entry holds: a task's model with weights of this type."""
    return f"{task.name}-{weights}"


@lru_cache(maxsize=1)
def core() -> "openvino.Core":
    """OpenVINO itself, once a process."""
    import openvino

    return openvino.Core()


@lru_cache(maxsize=1)
def best_precision() -> str:
    """The fastest floating-point precision of this CPU: bfloat16 where it has instructions for it."""
    capabilities = core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "bfloat16" if "BF16" in capabilities else "float32"


def available_cores() -> int:
    """Cores that this process may use."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1
