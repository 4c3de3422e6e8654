from pathlib import Path

import numpy as np
import pytest
from tiny_models import make_inputs, save_model

from lodestone.components.engines import READER, make_engine
from lodestone.components.engines.cache import amend_entry
from lodestone.components.engines.openvino_engine import best_precision
from lodestone.components.engines.quantization import quantize
from lodestone.components.errors import ConfigurationError


def test_an_int8_model_is_used_by_itself_only_once_it_was_judged_good(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save_model("bert", folder)
    with pytest.raises(ConfigurationError, match="at least one sample"):
        quantize(folder, READER, [])
    quantize(folder, READER, [make_inputs(1, 10 + at, segments=True, seed=at) for at in range(10)])
    assert make_engine(folder, device="cpu").precision == best_precision()
    inputs = make_inputs(2, 30, segments=True)
    engine = make_engine(folder, device="cpu", precision="int8")
    exact = make_engine(folder, device="cpu", precision="float32").forward(inputs)["start_logits"]
    difference = np.abs(engine.forward(inputs)["start_logits"] - exact)[inputs["attention_mask"] == 1]
    assert 0 < difference.mean() < 0.2 * np.abs(exact).mean()

    amend_entry(folder, "reader-int8", good=True)
    assert make_engine(folder, device="cpu").precision == "int8"
    amend_entry(folder, "reader-int8", good=False)
    assert make_engine(folder, device="cpu").precision == best_precision()
