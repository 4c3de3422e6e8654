"""When recorded forward passes are used. Recording itself needs a GPU: `benchmarks/gpu.py` checks it there."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import make_inputs, save_model

from lodestone.components.engines import READER
from lodestone.components.engines.cuda_graphs import CudaGraphs, _Graph


class Recorded(CudaGraphs):
    """Records without a GPU: a replay runs the model on the graph's own inputs and writes into its own outputs."""

    spoil = 0.0
    fail = False
    records = 0
    replays = 0

    def _recorded(self, tensors: dict[str, torch.Tensor]) -> _Graph:
        self.records += 1
        if self.fail:
            raise RuntimeError("operation not permitted when stream is capturing\nmore")
        inputs = {name: tensor.clone() for name, tensor in tensors.items()}
        outputs = {name: torch.zeros_like(tensor) for name, tensor in self._plain(inputs).items()}

        def replay() -> None:
            self.replays += 1
            for name, tensor in self._plain(inputs).items():
                outputs[name].copy_(tensor + self.spoil)

        return _Graph(replay, inputs, outputs)


@pytest.fixture
def graphs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recorded:
    for name in ("current_stream", "default_stream"):
        monkeypatch.setattr(torch.cuda, name, lambda device: 0)
    for name in ("stream", "device"):
        monkeypatch.setattr(torch.cuda, name, lambda given: contextlib.nullcontext())
    return Recorded(save_model("bert", tmp_path / "model"), READER.outputs, "cpu")


def run(graphs: Recorded, seed: int, tokens: int = 12) -> None:
    given: Any = make_inputs(3, tokens, segments=True, seed=seed)
    tensors = {name: torch.from_numpy(array) for name, array in given.items()}
    with torch.inference_mode():
        found, expected = graphs.forward(tensors), graphs._plain(tensors)
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor)


def test_a_shape_is_recorded_when_it_comes_the_second_time_and_replayed_from_then_on(graphs: Recorded) -> None:
    run(graphs, 0)
    assert graphs.records == 0
    run(graphs, 1)
    checks = graphs.replays
    assert (graphs.records, checks) == (1, 2)
    for seed in range(2, 5):
        run(graphs, seed)
    assert (graphs.records, graphs.replays) == (1, checks + 3)
    run(graphs, 0, tokens=20)
    assert graphs.records == 1


@pytest.mark.parametrize("trouble", [{"spoil": 1.0}, {"fail": True}])
def test_what_cannot_be_recorded_or_comes_out_different_is_run_as_it_is(
    graphs: Recorded, trouble: dict[str, Any]
) -> None:
    for name, value in trouble.items():
        setattr(graphs, name, value)
    for seed in range(4):
        run(graphs, seed)
    assert graphs.records == 1
    assert graphs.replays <= 2


def test_large_batches_and_other_streams_are_left_alone(graphs: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lodestone.components.engines.cuda_graphs.MOST_TOKENS", 30)
    for _ in range(3):
        run(graphs, 0)
    monkeypatch.setattr("lodestone.components.engines.cuda_graphs.MOST_TOKENS", 1000)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: 1)
    for _ in range(3):
        run(graphs, 0)
    assert graphs.records == 0
