"""Which engine runs a model here."""

import logging
from pathlib import Path
from typing import Any

from lodestone.components.engines.cache import find_entry
from lodestone.components.engines.conversion import ConversionError
from lodestone.components.engines.device import checked_device
from lodestone.components.engines.engine import Engine
from lodestone.components.engines.openvino_engine import OpenVinoEngine, best_precision, entry_kind
from lodestone.components.engines.task import READER, Task
from lodestone.components.engines.torch_engine import TorchEngine
from lodestone.components.errors import ConfigurationError

logger = logging.getLogger(__name__)

ENGINES = ("auto", "torch", "openvino")
PRECISIONS = ("auto", "float32", "bfloat16", "float16", "int8")


def checked_engine(engine: str) -> str:
    """The name of an engine, refused with a ConfigurationError where there is none of that name."""
    if engine not in ENGINES:
        raise ConfigurationError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
    return engine


def checked_precision(precision: str) -> str:
    """A precision, refused with a ConfigurationError where there is no such one."""
    if precision not in PRECISIONS:
        raise ConfigurationError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    return precision


def make_engine(
    folder: Path,
    task: Task = READER,
    *,
    device: str | None = None,
    engine: str = "auto",
    precision: str = "auto",
    model_kwargs: dict[str, Any] | None = None,
) -> Engine:
    """Load a model on the engine that is fastest for it here.

    On a CPU that is OpenVINO, in bfloat16 where the CPU has instructions for it, or in int8 where `lodestone quantize`
    made a reader that it judged good enough on enough questions. On a GPU, for what OpenVINO cannot convert, and where
    `model_kwargs` ask for something of transformers, it is torch.

    :param folder: The model's folder.
    :param task: What it is for.
    :param device: See `checked_device`.
    :param engine: `"auto"`, `"torch"` or `"openvino"`.
    :param precision: `"auto"`, `"float32"`, `"bfloat16"`, `"float16"` (torch only) or `"int8"` (OpenVINO only).
    :param model_kwargs: Passed on to transformers, with the torch engine.
    :returns: The engine, loaded.
    :raises ConfigurationError: The folder holds no such model, or these parameters exclude each other.
    """
    checked_engine(engine)
    checked_precision(precision)
    device = checked_device(device)
    obstacle = _obstacle(device, precision, model_kwargs)
    if engine == "openvino" and obstacle:
        raise ConfigurationError(f"engine 'openvino' {obstacle}; leave engine at 'auto', or change that")
    if engine == "torch" or obstacle:
        if precision == "int8":
            raise ConfigurationError("precision 'int8' is for the openvino engine, on a CPU, without model_kwargs")
        return TorchEngine(folder, device, model_kwargs, task, precision)
    try:
        return _openvino(folder, task, precision)
    except (ConversionError, ImportError) as error:
        if engine == "openvino" or precision == "int8":
            raise ConfigurationError(f"{folder} cannot be run by OpenVINO: {error}; use engine 'torch'") from error
        logger.warning("%s is run by torch, which is slower, since OpenVINO cannot: %s", folder, error)
        return TorchEngine(folder, device, None, task, precision)


def _obstacle(device: str, precision: str, model_kwargs: dict[str, Any] | None) -> str:
    """Why OpenVINO is not to be asked; "" if it is."""
    if device != "cpu":
        return f"runs on the CPU, not on {device!r}"
    if model_kwargs:
        return "takes no model_kwargs"
    if precision == "float16":
        return "has no precision 'float16' on CPUs"
    return ""


def _openvino(folder: Path, task: Task, precision: str) -> OpenVinoEngine:
    if precision == "auto":
        quantized = find_entry(folder, entry_kind(task, "int8"))
        precision = "int8" if quantized is not None and quantized[1].get("good") else best_precision()
    try:
        return OpenVinoEngine(folder, task, precision)
    except LookupError as error:
        raise ConfigurationError(str(error)) from error
