"""A model folder, run as batched forward passes on the device that is here."""

from lodestone.components.engines.engine import Engine
from lodestone.components.engines.torch_engine import TorchEngine, choose_device

__all__ = ["Engine", "TorchEngine", "choose_device"]
