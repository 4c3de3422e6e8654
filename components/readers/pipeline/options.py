"""The settings of a call of the pipeline, under transformers' names."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lodestone.components.errors import ConfigurationError

_PADDINGS = {"do_not_pad": False, "longest": False, "max_length": True}


@dataclass(frozen=True)
class Options:
    """How to read and what to give back.

    :param top_k: The most answers.
    :param doc_stride: Context tokens that neighbouring windows share; None for 128 or half a window, or less where
        a long question leaves no room for so many.
    :param max_seq_len: Tokens of a window; None for 384, or less where the tokenizer allows fewer.
    :param max_question_len: Tokens of the question that are read; None for all of them where they leave room for the
        context, else 64. transformers 4 had a default of 64 and read the whole question all the same.
    :param max_answer_len: The most tokens of an answer.
    :param handle_impossible_answer: Whether "" may be an answer.
    :param align_to_words: Whether answers are widened to whole words.
    :param pad_to_max_length: Whether windows are padded to `max_seq_len`, which changes no result.
    """

    top_k: int = 1
    doc_stride: int | None = None
    max_seq_len: int | None = None
    max_question_len: int | None = None
    max_answer_len: int = 15
    handle_impossible_answer: bool = False
    align_to_words: bool = True
    pad_to_max_length: bool = False

    @property
    def spans_per_window(self) -> int:
        """How many spans to take from a window: more than `top_k` where widening may make several into one."""
        return self.top_k * 2 + 10 if self.align_to_words else self.top_k


def checked_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Look out, check and name as in `Options` what a caller set.

    :param given: Named arguments; None counts as not given, and others than settings are left alone.
    :returns: The settings among them.
    :raises ConfigurationError: If one is out of range. It is a ValueError.
    """
    options = {name: given[name] for name in Options.__dataclass_fields__ if given.get(name) is not None}
    if given.get("topk") is not None and "top_k" not in options:
        warnings.warn("topk parameter is deprecated, use top_k instead", UserWarning, stacklevel=4)
        options["top_k"] = given["topk"]
    for name in ("top_k", "max_answer_len"):
        if name in options and options[name] < 1:
            raise ConfigurationError(f"{name} parameter should be >= 1 (got {options[name]})")
    for name, lowest in (("max_seq_len", 1), ("max_question_len", 1), ("doc_stride", 0)):
        if name in options and options[name] < lowest:
            raise ConfigurationError(f"{name} must be at least {lowest}, got {options[name]}")
    padding = given.get("padding")
    if padding is not None:
        options["pad_to_max_length"] = _pads(padding)
    return options


def _pads(padding: Any) -> bool:
    if isinstance(padding, bool):
        return False
    name = str(getattr(padding, "value", padding))
    if name not in _PADDINGS:
        raise ConfigurationError(f"padding must be one of {', '.join(_PADDINGS)}, True or False, got {padding!r}")
    return _PADDINGS[name]
