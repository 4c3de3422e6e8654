"""A model of transformers as an OpenVINO model, straight from torch."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lodestone.components.engines.loading import load_model, max_length, takes_segments
from lodestone.components.engines.quiet import quiet_transformers
from lodestone.components.engines.task import Task

if TYPE_CHECKING:
    import openvino

MODEL_FILE = "model.xml"
# Longer than the local attention of the families that have one, so that no branch is traced away.
_EXAMPLE_TOKENS = 24
# Their attention is cut into blocks by the length of the example, so that a converted model is right for that only.
_NOT_CONVERTIBLE = frozenset(
    {"longformer", "big_bird", "led", "bigbird_pegasus", "reformer", "xlnet", "fnet", "funnel"}
)
# Elsewhere a padded token may have nothing at all to attend to (local attention): OpenVINO's fused attention then gives
# NaN, which the next layer spreads to every token. The attention that is written out has no such case.
_FULL_ATTENTION = frozenset({"bert", "roberta", "xlm-roberta", "camembert", "electra", "albert", "distilbert"})


class ConversionError(Exception):
    """The model cannot be converted, for the reason that its message gives."""


def convert(folder: Path, task: Task) -> "tuple[openvino.Model, dict[str, Any]]":
    """Convert a model, its weights in float32.

    :param folder: The model's folder.
    :param task: What it is for.
    :returns: The converted model with dynamic numbers of windows and tokens, and what an engine has to know of it:
        `max_length`, `takes_segments`.
    :raises ConversionError: OpenVINO cannot convert it, or what came out does not compute the same.
    :raises ConfigurationError: The folder holds no such model.
    """
    import numpy as np
    import openvino
    import torch

    model = load_model(folder, task, dtype=torch.float32)
    if model.config.model_type not in _FULL_ATTENTION:
        model.set_attn_implementation("eager")
    if model.config.model_type in _NOT_CONVERTIBLE:
        raise ConversionError(f"{model.config.model_type} models change their graph with the length of their input")
    segments = takes_segments(model)
    example = _example(2, _EXAMPLE_TOKENS, segments, model.config)
    try:
        with warnings.catch_warnings(), quiet_transformers(), torch.no_grad():
            warnings.simplefilter("ignore")
            converted = openvino.convert_model(model, example_input=example)
    except Exception as error:  # the converter raises whatever its parts raise
        raise ConversionError(f"{type(error).__name__}: {str(error).strip().splitlines()[0]}") from error
    for output, name in zip(converted.outputs, task.outputs, strict=False):
        output.get_tensor().set_names({name})
    # Another shape than the one it was traced with: what was frozen into the graph shows here.
    probe = _example(3, 2 * _EXAMPLE_TOKENS + 5, segments, model.config)
    compiled = openvino.Core().compile_model(converted, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    with quiet_transformers(), torch.inference_mode():
        expected = model(**probe)
    found = compiled({name: tensor.numpy() for name, tensor in probe.items()})
    # What comes out at padding is nobody's business, and differs where attention is local.
    real = probe["attention_mask"].numpy() == 1
    for name in task.outputs:
        wanted = expected[name].numpy()
        if found[name].shape != wanted.shape or not np.allclose(found[name][real], wanted[real], rtol=1e-3, atol=1e-3):
            raise ConversionError("the converted model does not compute what torch computes")
    return converted, {"max_length": max_length(model.config), "takes_segments": segments}


def _example(windows: int, tokens: int, segments: bool, config: Any) -> dict[str, Any]:
    import torch

    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, max(6, int(config.vocab_size)), (windows, tokens), generator=generator)
    mask = torch.ones_like(ids)
    # One window is padded, or a model that looks whether there is anything to mask would be traced without masks.
    mask[-1, tokens // 2 :] = 0
    ids[mask == 0] = int(getattr(config, "pad_token_id", 0) or 0)
    inputs = {"input_ids": ids, "attention_mask": mask}
    if segments:
        inputs["token_type_ids"] = torch.zeros_like(ids)
    return inputs


def write_converted(folder: Path, task: Task, target: Path) -> dict[str, Any]:
    """Convert a model into a cache entry.

    :param folder: The model's folder.
    :param task: What it is for.
    :param target: The entry's folder.
    :returns: What to record with it.
    :raises ConversionError: As in `convert`.
    """
    import openvino

    converted, facts = convert(folder, task)
    openvino.save_model(converted, target / MODEL_FILE, compress_to_fp16=False)
    return facts
