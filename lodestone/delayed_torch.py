"""Keeping torch from being imported before it is used: it takes seconds, and Haystack imports it for a type."""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

_IMPORTER = "haystack.utils.device"


class _DelayedTorch(ModuleType):
    """What the importer gets for torch; it becomes torch at the first look at anything in it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(importlib.import_module("torch"), name)


class _Loader(importlib.abc.Loader):
    """Runs the importer's code with the stand-in where torch would be."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """Leave it to the real loader."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the code; afterwards `import torch` means torch again."""
        stand_in = _DelayedTorch("torch")
        delayed = "torch" not in sys.modules
        if delayed:
            sys.modules["torch"] = stand_in
        try:
            self._loader.exec_module(module)
        finally:
            if delayed and sys.modules.get("torch") is stand_in:
                del sys.modules["torch"]


class _Finder(importlib.abc.MetaPathFinder):
    """Finds nothing but the importer, once."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The importer's own specification, with our loader around its own."""
        if name != _IMPORTER:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


def delay_torch() -> None:
    """Let Haystack's module for devices do without torch until somebody asks it for a torch device.

    Nothing is done where torch is imported already, or cannot be: Haystack then says so itself.
    """
    if "torch" in sys.modules or _IMPORTER in sys.modules or importlib.util.find_spec("torch") is None:
        return
    sys.meta_path.insert(0, _Finder())
