"""What makes training on a CPU faster: plain attention, dropout by masks that are drawn once, memory that is kept."""

from __future__ import annotations

import ctypes
import sys
from functools import lru_cache
from typing import Any

import torch

_DRAWN = 2**25
_NAME = "lodestone_cpu"
# Encoders whose attention is transformers' interface for it and nothing else: no bias of positions, no shared heads.
_PLAIN = frozenset({"bert", "roberta", "xlm-roberta", "camembert", "electra", "distilbert", "albert", "modernbert"})
# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_NEVER = 2**31 - 1


def quicken(model: Any, autocast: str | None, attention: bool = True) -> None:
    """Do to a model, before it is trained on a CPU, all that is below.

    :param model: A model of transformers; it is changed. `give_back` undoes what its configuration would show.
    :param autocast: The type that is computed in where that is not float32, else None.
    :param attention: Whether its attention may be changed, too.
    """
    keep_memory()
    drop_by_masks(model)
    if attention and autocast == "bfloat16":
        attend_plainly(model)


def attend_plainly(model: Any) -> bool:
    """Have a model compute its attention in the type of its autocast, softmax included, by plain matrix products.

    On CPUs with bfloat16 instructions that is faster than PyTorch's fused attention, whose backward pass does not use
    them: `benchmarks/training_speed.py`.

    :param model: A model of transformers; it is changed.
    :returns: Whether it is a model of which this is known to be right; another is left as it is.
    """
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, eager_mask

    if model.config.model_type not in _PLAIN:
        return False
    AttentionInterface.register(_NAME, _attend)
    AttentionMaskInterface.register(_NAME, eager_mask)
    model.set_attn_implementation(_NAME)
    return True


def give_back(model: Any) -> None:
    """Have a model compute its attention as transformers would choose it.

    :param model: The model; it is changed.
    """
    if model.config._attn_implementation == _NAME:
        model.set_attn_implementation("sdpa")


def drop_by_masks(model: Any) -> None:
    """Have a model's dropout layers take their masks from numbers that are drawn once, at a random place each time.

    PyTorch draws a number for every activation, one after the other, which takes a CPU as long as all the rest. Which
    place is taken depends on PyTorch's random numbers, as dropout always does, so that a resumed run goes on exactly.

    :param model: The model; it is changed, and computes as before when it is not being trained.
    """
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer) is torch.nn.Dropout:
                setattr(parent, name, _MaskDropout(layer.p))


def keep_memory() -> None:
    """Have glibc keep what is freed: else every large tensor is asked of the system anew, page by page.

    It holds until the process ends. Elsewhere than on glibc nothing is done.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, _NEVER)


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attention (Vaswani et al. 2017): query, key and value of shape (windows, heads, tokens, size of a head)."""
    scores = torch.matmul(query * (query.size(-1) ** -0.5 if scaling is None else scaling), key.transpose(2, 3))
    if attention_mask is not None:
        scores = scores + attention_mask.to(scores.dtype)
    # Autocast would have the softmax in float32; inside it adds up in float32 anyway.
    with torch.autocast("cpu", enabled=False):
        shares = _dropped(torch.softmax(scores, dim=-1), dropout, module.training)
        attended = torch.matmul(shares, value.to(shares.dtype))
    return attended.transpose(1, 2).contiguous(), None


class _MaskDropout(torch.nn.Dropout):
    """Dropout by masks that are drawn once."""

    def forward(self, activations: torch.Tensor) -> torch.Tensor:
        """The activations, some of them 0."""
        return _dropped(activations, self.p, self.training)


def _dropped(activations: torch.Tensor, share: float, training: bool) -> torch.Tensor:
    """Dropout (Srivastava et al. 2014): a share of the activations is 0, the others are as much larger."""
    count = activations.numel()
    if not training or share == 0 or count >= _DRAWN:
        return torch.nn.functional.dropout(activations, share, training)
    kept = _kept(share)
    start = int(torch.randint(len(kept) - count, ()))
    return activations * kept[start : start + count].view_as(activations).to(activations.dtype)


@lru_cache(maxsize=4)
def _kept(share: float) -> torch.Tensor:
    """What activations are multiplied by: bfloat16, shape (2^25,), 64 MiB."""
    drawn = torch.rand(_DRAWN, generator=torch.Generator().manual_seed(0))
    return (drawn >= share).to(torch.bfloat16).div_(1 - share)
