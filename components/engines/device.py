"""Which device to run on."""

import ctypes
import os
import sys

from lodestone.components.errors import ConfigurationError


def checked_device(device: str | None) -> str:
    """The torch device that a name means. For the CPU torch is not imported.

    :param device: `"cpu"`, `"cuda"`, `"cuda:1"`, ...; None for CUDA where there is some, else the CPU.
    :returns: A device of torch that exists on this machine.
    :raises ConfigurationError: There is no such device here.
    """
    if device == "cpu" or (device is None and not _has_gpu_driver()):
        return "cpu"
    import torch

    if device is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    valid = "'cpu', 'cuda', 'cuda:0' or None for the best one"
    try:
        parsed = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ConfigurationError(f"device must be {valid}, got {device!r}") from error
    if parsed.type == "cuda" and (parsed.index or 0) >= torch.cuda.device_count():
        raise ConfigurationError(
            f"device {device!r} does not exist: torch sees {torch.cuda.device_count()} GPUs here; use 'cpu' or None"
        )
    if parsed.type == "mps" and not torch.backends.mps.is_available():
        raise ConfigurationError(f"device {device!r} does not exist here; use 'cpu' or None")
    if parsed.type not in {"cpu", "cuda", "mps", "xpu"}:
        raise ConfigurationError(f"device must be {valid}, got {device!r}")
    return str(device)


def _has_gpu_driver() -> bool:
    """Whether torch could see a GPU at all: torch takes seconds to import, the driver's library no time to look for."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in {"", "-1"}:
        return False
    names = ("nvcuda.dll", "amdhip64.dll") if sys.platform == "win32" else ("libcuda.so.1", "libamdhip64.so")
    for name in names:
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return True
    # AMD's builds of torch bring their library with them; the kernel's device is what shows the GPU.
    return os.path.exists("/dev/kfd")
