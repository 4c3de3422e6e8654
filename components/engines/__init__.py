"""A model folder, run as batched forward passes on what is fastest here: OpenVINO on CPUs, torch on GPUs."""

from lodestone.components.engines.choice import ENGINES, PRECISIONS, checked_engine, checked_precision, make_engine
from lodestone.components.engines.device import checked_device
from lodestone.components.engines.engine import Engine
from lodestone.components.engines.openvino_engine import OpenVinoEngine
from lodestone.components.engines.quiet import quiet_transformers
from lodestone.components.engines.task import ENCODER, READER, Task
from lodestone.components.engines.torch_engine import TorchEngine

__all__ = [
    "ENCODER",
    "ENGINES",
    "PRECISIONS",
    "READER",
    "Engine",
    "OpenVinoEngine",
    "Task",
    "TorchEngine",
    "checked_device",
    "checked_engine",
    "checked_precision",
    "make_engine",
    "quiet_transformers",
]
