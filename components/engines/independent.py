"""Long-input models made independent of what they are read together with, and of what they read before."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

Forward = Callable[..., Mapping[str, Any]]


def independent_forward(model: Any) -> Forward:
    """The forward pass of a reader, the same for a window whatever else is in its batch.

    :param model: An extractive reader of transformers.
    :returns: The model itself, but for two families. BigBird attends over blocks that padding shifts, and after one
        short input gives up sparse attention for good: its windows are read in batches of one length, and its attention
        is put back. Longformer refuses a batch in which a passage holds the separator: its global attention, on the
        question, is set for it.
    """
    if type(model).__name__ == "BigBirdForQuestionAnswering":
        return _BigBird(model)
    if type(model).__name__ == "LongformerForQuestionAnswering":
        return _Longformer(model)
    return model  # type: ignore[no-any-return]


class _BigBird:
    def __init__(self, model: Any) -> None:
        self._model = model
        self._attention = model.config.attention_type
        self._lock = threading.Lock()

    def __call__(self, input_ids: Any, attention_mask: Any, **others: Any) -> Mapping[str, Any]:
        import torch

        inputs = {"input_ids": input_ids, "attention_mask": attention_mask, **others}
        lengths = attention_mask.sum(dim=1)
        outputs: dict[str, Any] = {}
        with self._lock:
            self._model.bert.set_attention_type(self._attention)
            # The longest first: only a short one changes the attention.
            for length in sorted(set(lengths.tolist()), reverse=True):
                rows = (lengths == length).nonzero()[:, 0]
                found = self._model(**{name: tensor[rows, :length] for name, tensor in inputs.items()})
                for name in ("start_logits", "end_logits"):
                    logits = found[name]
                    whole = outputs.setdefault(name, torch.zeros(input_ids.shape, dtype=logits.dtype).to(logits.device))
                    whole[rows, :length] = logits
        return outputs


class _Longformer:
    def __init__(self, model: Any) -> None:
        self._model = model

    def __call__(self, input_ids: Any, **others: Any) -> Mapping[str, Any]:
        import torch

        end = (input_ids == self._model.config.sep_token_id).int().argmax(dim=1, keepdim=True)
        on_question = torch.arange(input_ids.shape[1], device=input_ids.device)[None, :] < end
        result: Mapping[str, Any] = self._model(input_ids=input_ids, global_attention_mask=on_question.long(), **others)
        return result
