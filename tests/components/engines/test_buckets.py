from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import FAMILIES, make_inputs, save_model

from lodestone.components.engines import OpenVinoEngine, TorchEngine
from lodestone.components.engines.buckets import cropped, gpu_shape, padded, rounded


@given(number=st.integers(1, 2000), step=st.integers(1, 64), most=st.integers(1, 600))
def test_numbers_are_rounded_up_but_not_above_what_the_model_takes(number: int, step: int, most: int) -> None:
    found = rounded(number, step, most)
    assert number <= found < number + step
    assert found <= max(number, most)
    assert found in (number, most) or found % step == 0


def test_what_needs_no_padding_is_the_same_array() -> None:
    inputs = make_inputs(2, 8)
    assert padded(inputs, 2, 8)["input_ids"] is inputs["input_ids"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_padded_batch_gives_what_the_batch_gives(family: str, tmp_path: Path) -> None:
    model = save_model(family, tmp_path / "model")
    inputs = make_inputs(3, 21, segments=int(getattr(model.config, "type_vocab_size", 0) or 0) > 1)
    engine = TorchEngine(tmp_path / "model", "cpu")
    wanted = engine.forward(inputs)
    larger = engine.forward(padded(inputs, 5, 32))
    assert larger["start_logits"].shape == (5, 32)
    assert np.isfinite(larger["start_logits"][:3, :21]).all()
    real = inputs["attention_mask"] == 1
    for name, array in cropped(larger, 3, 21).items():
        np.testing.assert_allclose(array[real], wanted[name][real], rtol=1e-4, atol=1e-5)


@given(rows=st.integers(1, 200), tokens=st.integers(1, 512))
def test_a_gpu_sees_few_shapes_that_hold_every_batch(rows: int, tokens: int) -> None:
    shape = gpu_shape(rows, tokens, 500)
    assert shape[0] in (1, 2, 4) or shape[0] % 8 == 0
    assert rows <= shape[0] < rows + 8
    assert shape[1] == max(tokens, min(-(-tokens // 64) * 64, 500))
    assert gpu_shape(*shape, 500) == shape


def test_windows_come_out_of_a_gpu_s_shape_as_they_are_alone(tmp_path: Path) -> None:
    save_model("roberta", tmp_path / "model")
    engine = TorchEngine(tmp_path / "model", "cpu")
    for rows, tokens in ((1, 5), (3, 64), (9, 70), (5, 128)):
        inputs = make_inputs(rows, tokens)
        shape = gpu_shape(rows, tokens, engine.max_length)
        found = cropped(engine.forward(padded(inputs, *shape)), rows, tokens)
        for row in range(rows):
            length = int(inputs["attention_mask"][row].sum())
            alone = engine.forward({name: array[row : row + 1, :length] for name, array in inputs.items()})
            for name, array in alone.items():
                np.testing.assert_allclose(found[name][row, :length], array[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("tokens", [1, 15, 16, 17, 120, 128])
def test_the_openvino_engine_gives_as_many_tokens_as_it_was_given(tokens: int, tmp_path: Path) -> None:
    model = save_model("roberta", tmp_path / "model")
    engine = OpenVinoEngine(tmp_path / "model", precision="float32")
    inputs = make_inputs(2, tokens) if tokens > 2 else make_inputs(1, tokens)
    found = engine.forward(inputs)
    expected = TorchEngine(tmp_path / "model", "cpu").forward(inputs)
    real = inputs["attention_mask"] == 1
    assert engine.max_length == 128 == model.config.max_position_embeddings - 2
    for name, array in found.items():
        assert array.shape == inputs["input_ids"].shape
        np.testing.assert_allclose(array[real], expected[name][real], rtol=1e-3, atol=1e-4)
