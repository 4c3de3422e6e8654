"""The engine that always works: transformers' own model, run by torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lodestone.components.engines.device import checked_device
from lodestone.components.engines.engine import FloatArray, IntArray
from lodestone.components.engines.independent import independent_forward
from lodestone.components.engines.quiet import quiet_transformers
from lodestone.components.errors import ConfigurationError

# Families whose position ids start behind the padding id, so that many positions less than the table has are usable.
_OFFSET_POSITIONS = {"roberta", "xlm-roberta", "camembert", "mpnet", "longformer", "xlm-roberta-xl"}


class TorchEngine:
    """An extractive reader's forward pass in torch.

    :param folder: The model folder: config.json and weights.
    :param device: See `checked_device`.
    :param model_kwargs: Passed on to `AutoModelForQuestionAnswering.from_pretrained`. Without a `dtype` among them,
        weights are computed with in float32 on a CPU and in their own type on a GPU.
    :raises ConfigurationError: If the folder holds no model that can answer questions by spans.
    """

    def __init__(self, folder: Path, device: str | None = None, model_kwargs: dict[str, Any] | None = None) -> None:
        import torch
        from transformers import AutoModelForQuestionAnswering

        kwargs = dict(model_kwargs) if model_kwargs is not None else {}
        placed = "device_map" in kwargs
        self.device = checked_device(device)
        if "dtype" not in kwargs and "torch_dtype" not in kwargs:
            kwargs["dtype"] = torch.float32 if self.device.startswith("cpu") else "auto"
        try:
            with quiet_transformers():
                model, report = AutoModelForQuestionAnswering.from_pretrained(
                    str(folder), local_files_only=True, output_loading_info=True, **kwargs
                )
        except (ValueError, OSError, KeyError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigurationError(f"{folder} cannot be loaded as an extractive reader: {reason}") from error
        missing = sorted(name for name in report["missing_keys"] if "qa_outputs" in name)
        if missing:
            raise ConfigurationError(
                f"{folder} is not an extractive reader: its weights lack {', '.join(missing)}; "
                "name a model that was fine-tuned for question answering"
            )
        if placed:
            self.device = str(model.device)
        else:
            model.to(self.device)
        self._model = independent_forward(model.eval())
        self.max_length = _max_length(model.config)
        self.takes_segments = int(getattr(model.config, "type_vocab_size", 0) or 0) > 1

    def forward(self, inputs: Mapping[str, IntArray]) -> dict[str, FloatArray]:
        """Run one batch: see `Engine.forward`."""
        import torch

        with torch.inference_mode():
            tensors = {name: torch.from_numpy(array).to(self.device) for name, array in inputs.items()}
            output = self._model(**tensors)
            return {
                name: output[name].float().cpu().numpy().astype(np.float32, copy=False)
                for name in ("start_logits", "end_logits")
            }


def _max_length(config: Any) -> int:
    """Tokens that the model has positions for; models with relative positions only state a large number or none."""
    positions = getattr(config, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions <= 0:
        return 1 << 20
    if config.model_type in _OFFSET_POSITIONS:
        return positions - int(config.pad_token_id) - 1
    return positions
