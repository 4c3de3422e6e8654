"""What makes training on a CPU faster: attention by plain matrix products, and memory that is kept."""

from __future__ import annotations

import ctypes
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_NAME = "lodestone_cpu"
# Encoders whose attention is transformers' interface for it and nothing else: no bias of positions, no shared heads.
_PLAIN = frozenset({"bert", "roberta", "xlm-roberta", "camembert", "electra", "distilbert", "albert", "modernbert"})
# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_NEVER = 2**31 - 1


def attend_plainly(model: Any) -> bool:
    """Have a model compute its attention in the type of its autocast, softmax included, by plain matrix products.

    On CPUs with bfloat16 instructions that is faster than PyTorch's fused attention, whose backward pass does not use
    them: `benchmarks/training_speed.py`.

    :param model: A model of transformers; it is changed. `give_back` undoes it.
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
    import torch

    scores = torch.matmul(query * (query.size(-1) ** -0.5 if scaling is None else scaling), key.transpose(2, 3))
    if attention_mask is not None:
        scores = scores + attention_mask.to(scores.dtype)
    # Autocast would have the softmax in float32; inside it adds up in float32 anyway.
    with torch.autocast("cpu", enabled=False):
        shares = torch.nn.functional.dropout(torch.softmax(scores, dim=-1), dropout, module.training)
        attended = torch.matmul(shares, value.to(shares.dtype))
    return attended.transpose(1, 2).contiguous(), None
