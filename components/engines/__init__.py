"""A model folder, run as batched forward passes on the device that is here."""

from lodestone.components.engines.device import checked_device
from lodestone.components.engines.engine import Engine
from lodestone.components.engines.quiet import quiet_transformers
from lodestone.components.engines.torch_engine import TorchEngine

__all__ = ["Engine", "TorchEngine", "checked_device", "quiet_transformers"]
