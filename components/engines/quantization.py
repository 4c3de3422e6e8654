"""Making the int8 model of a folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lodestone.components.engines.cache import store_entry
from lodestone.components.engines.conversion import MODEL_FILE
from lodestone.components.engines.engine import Inputs
from lodestone.components.engines.openvino_engine import entry_kind, open_converted
from lodestone.components.engines.quiet import quiet_nncf
from lodestone.components.engines.task import Task
from lodestone.components.errors import ConfigurationError


def quantize(
    folder: Path, task: Task, samples: Sequence[Inputs], record: dict[str, Any] | None = None, replace: bool = True
) -> Path:
    """Quantize a model to int8 and put it into the cache, where engines with `precision="int8"` find it.

    Post-training quantization of NNCF for transformers, in the mixed preset (weights symmetric, activations asymmetric
    where that helps), without SmoothQuant, which costs readers 1 to 1.5 points of F1.

    :param folder: The model's folder.
    :param task: What the model is for.
    :param samples: What activations are measured on, as for `Engine.forward`: some 180 windows of one row each.
    :param record: What to record with the model.
    :param replace: Whether to make it anew where it is there already, or another process made it meanwhile.
    :returns: The cache entry's folder.
    :raises ConfigurationError: NNCF is not installed, or there are no samples.
    :raises ConversionError: The model cannot be converted.
    """
    try:
        import nncf
    except ImportError as error:
        raise ConfigurationError("quantizing needs NNCF: pip install 'lodestone[quantize]'") from error
    import openvino

    if not samples:
        raise ConfigurationError("quantizing needs at least one sample of the model's input, got none")
    off = nncf.quantization.advanced_parameters.AdvancedSmoothQuantParameters(matmul=-1, convolution=-1)
    model, facts = open_converted(folder, task, "float32")

    def write(target: Path) -> dict[str, Any]:
        with quiet_nncf():
            quantized = nncf.quantize(
                model,
                nncf.Dataset([{name: np.asarray(array) for name, array in sample.items()} for sample in samples]),
                model_type=nncf.ModelType.TRANSFORMER,
                preset=nncf.QuantizationPreset.MIXED,
                subset_size=len(samples),
                advanced_parameters=nncf.AdvancedQuantizationParameters(smooth_quant_alphas=off),
            )
        openvino.save_model(quantized, target / MODEL_FILE, compress_to_fp16=False)
        engine_facts = {name: facts[name] for name in ("max_length", "takes_segments")}
        return {**engine_facts, "samples": len(samples), "good": False, **(record or {})}

    return store_entry(folder, entry_kind(task, "int8"), write, replace=replace)[0]
