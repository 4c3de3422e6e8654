import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import FAMILIES, make_inputs, save_model

from lodestone.components.engines import ENCODER, OpenVinoEngine, TorchEngine
from lodestone.components.errors import ConfigurationError


def in_torch(model: torch.nn.Module, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    with torch.inference_mode():
        output = model(**{name: torch.from_numpy(array) for name, array in inputs.items()})
    return {name: tensor.numpy() for name, tensor in output.items() if hasattr(tensor, "numpy")}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_reader_gives_the_logits_of_torch_at_every_shape(family: str, tmp_path: Path) -> None:
    model = save_model(family, tmp_path / "model")
    engine = OpenVinoEngine(tmp_path / "model")
    assert engine.takes_segments == (family in {"bert", "electra", "albert"})
    assert engine.max_length == {"roberta": 128, "xlm-roberta": 128, "camembert": 128, "mpnet": 128}.get(family, 130)
    for windows, tokens in ((1, 3), (4, 24), (2, 77), (3, engine.max_length)):
        inputs = make_inputs(windows, tokens, engine.takes_segments)
        expected, found = in_torch(model, inputs), engine.forward(inputs)
        real = inputs["attention_mask"] == 1
        for name in ("start_logits", "end_logits"):
            assert found[name].dtype == np.float32
            assert found[name].shape == (windows, tokens)
            np.testing.assert_allclose(found[name][real], expected[name][real], atol=1e-4)


@pytest.mark.parametrize("family", ["bert", "mpnet", "modernbert", "deberta-v2"])
def test_an_encoder_gives_the_vectors_of_torch(family: str, tmp_path: Path) -> None:
    model = save_model(family, tmp_path / "model", reader=False)
    engine = OpenVinoEngine(tmp_path / "model", ENCODER)
    inputs = make_inputs(3, 40, engine.takes_segments)
    found = engine.forward(inputs)["last_hidden_state"]
    real = inputs["attention_mask"] == 1
    np.testing.assert_allclose(found[real], in_torch(model, inputs)["last_hidden_state"][real], atol=1e-4)


def test_weights_in_half_precision_are_computed_with_in_float32(tmp_path: Path) -> None:
    model = save_model("bert", tmp_path / "model", dtype="float16")
    inputs = make_inputs(2, 30, segments=True)
    found = OpenVinoEngine(tmp_path / "model").forward(inputs)
    real = inputs["attention_mask"] == 1
    np.testing.assert_allclose(found["start_logits"][real], in_torch(model, inputs)["start_logits"][real], atol=1e-4)


def test_bfloat16_stays_close(tmp_path: Path) -> None:
    save_model("roberta", tmp_path / "model")
    inputs = make_inputs(4, 60)
    exact = OpenVinoEngine(tmp_path / "model").forward(inputs)["start_logits"]
    close = OpenVinoEngine(tmp_path / "model", precision="bfloat16").forward(inputs)["start_logits"]
    real = inputs["attention_mask"] == 1
    assert np.abs(exact - close)[real].mean() < 0.03 * np.abs(exact[real]).mean()


@pytest.mark.parametrize("kind", [OpenVinoEngine, TorchEngine])
def test_many_batches_come_back_in_order_and_are_drawn_as_they_are_needed(kind: type, tmp_path: Path) -> None:
    save_model("bert", tmp_path / "model")
    engine = kind(tmp_path / "model")
    batches = [make_inputs(1 + at % 3, 10 + 7 * (at % 5), segments=True, seed=at) for at in range(20)]
    drawn = 0

    def draw() -> Iterator[dict[str, np.ndarray]]:
        nonlocal drawn
        for batch in batches:
            drawn += 1
            yield batch

    for at, outputs in enumerate(engine.forward_many(draw())):
        assert drawn <= at + 8
        np.testing.assert_allclose(outputs["end_logits"], engine.forward(batches[at])["end_logits"], atol=1e-5)
    assert drawn == len(batches)
    assert list(engine.forward_many([])) == []


def test_outputs_are_the_callers_own(tmp_path: Path) -> None:
    save_model("bert", tmp_path / "model")
    engine = OpenVinoEngine(tmp_path / "model")
    first = engine.forward(make_inputs(2, 20, segments=True))["start_logits"]
    before = first.copy()
    engine.forward(make_inputs(2, 20, segments=True, seed=1))
    np.testing.assert_array_equal(first, before)


def test_many_threads_share_one_engine_and_one_that_stops_early_leaves_it_whole(tmp_path: Path) -> None:
    save_model("bert", tmp_path / "model")
    engine = OpenVinoEngine(tmp_path / "model")
    batches = [make_inputs(2, 10 + at, segments=True, seed=at) for at in range(12)]
    expected = [engine.forward(batch)["start_logits"] for batch in batches]
    wrong: list[int] = []

    def work() -> None:
        next(engine.forward_many(batches))
        for at, outputs in enumerate(engine.forward_many(batches)):
            if not np.allclose(outputs["start_logits"], expected[at], atol=1e-5):
                wrong.append(at)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_an_error_while_a_batch_is_made_reaches_the_caller(tmp_path: Path) -> None:
    save_model("bert", tmp_path / "model")
    engine = OpenVinoEngine(tmp_path / "model")

    def draw() -> Iterator[dict[str, np.ndarray]]:
        yield make_inputs(1, 10, segments=True)
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        list(engine.forward_many(draw()))
    assert engine.forward(make_inputs(1, 10, segments=True))["start_logits"].shape == (1, 10)


def test_a_folder_without_a_reader_is_refused(tmp_path: Path) -> None:
    save_model("bert", tmp_path / "model", reader=False)
    with pytest.raises(ConfigurationError, match="is not an extractive reader"):
        OpenVinoEngine(tmp_path / "model")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ConfigurationError, match="cannot be loaded as an extractive reader"):
        OpenVinoEngine(tmp_path / "empty")
