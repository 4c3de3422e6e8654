import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_models import make_inputs, save_model

from lodestone.components.engines import OpenVinoEngine
from lodestone.components.engines.cache import cache_folder, entry_key


def entries(cache: Path) -> list[Path]:
    return sorted(path for path in (cache / "engines").iterdir() if path.is_dir())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_model("bert", tmp_path / "model")
    return tmp_path / "model"


def test_a_converted_model_is_not_converted_again(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    inputs = make_inputs(2, 20, segments=True)
    first = OpenVinoEngine(folder).forward(inputs)
    assert len(entries(cache)) == 1
    monkeypatch.setitem(sys.modules, "torch", None)
    again = OpenVinoEngine(folder, precision="float32")
    assert (again.max_length, again.takes_segments) == (130, True)
    np.testing.assert_array_equal(again.forward(inputs)["start_logits"], first["start_logits"])
    # The same model in another place has the same entry.
    OpenVinoEngine(folder.rename(tmp_path / "moved"))
    assert len(entries(cache)) == 1


def test_other_weights_another_configuration_and_another_task_have_other_entries(folder: Path) -> None:
    key = entry_key(folder, "reader-float32")
    assert entry_key(folder, "encoder-float32") != key
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "transformers_version": "1"}))
    assert entry_key(folder, "reader-float32") == key
    (folder / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 0.1}))
    assert entry_key(folder, "reader-float32") != key
    (folder / "config.json").write_text(json.dumps(config))
    save_model("electra", folder)
    assert entry_key(folder, "reader-float32") != key


@pytest.mark.parametrize("damage", ["bytes", "short", "missing", "record", "xml"])
def test_a_damaged_entry_is_made_again(folder: Path, cache: Path, damage: str) -> None:
    inputs = make_inputs(2, 20, segments=True)
    expected = OpenVinoEngine(folder).forward(inputs)["start_logits"]
    (entry,) = entries(cache)
    weights = entry / "model.bin"
    if damage == "bytes":
        data = bytearray(weights.read_bytes())
        data[len(data) // 2 :] = os.urandom(len(data) - len(data) // 2)
        weights.write_bytes(data)
    elif damage == "short":
        weights.write_bytes(weights.read_bytes()[:100])
    elif damage == "missing":
        weights.unlink()
    elif damage == "record":
        (entry / "entry.json").write_text("[")
    else:
        (entry / "model.xml").write_text("<net>")
    np.testing.assert_allclose(OpenVinoEngine(folder).forward(inputs)["start_logits"], expected, atol=1e-6)
    assert entries(cache) == [entry]


def test_two_processes_that_convert_at_once_leave_one_whole_entry(folder: Path, cache: Path) -> None:
    code = (
        "import sys, pathlib, lodestone\n"
        "from lodestone.components.engines import OpenVinoEngine\n"
        "OpenVinoEngine(pathlib.Path(sys.argv[1]))\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(folder)]) for _ in range(2)]
    assert [process.wait(120) for process in running] == [0, 0]
    assert len(entries(cache)) == 1
    assert not list((cache / "engines").glob("*.tmp"))
    assert OpenVinoEngine(folder).forward(make_inputs(1, 9, segments=True))["start_logits"].shape == (1, 9)


def test_a_cache_that_cannot_be_written_costs_time_but_not_the_answer(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LODESTONE_CACHE", str(tmp_path / "file" / "below"))
    with caplog.at_level(logging.WARNING):
        engine = OpenVinoEngine(folder)
    assert engine.forward(make_inputs(1, 9, segments=True))["start_logits"].shape == (1, 9)
    assert caplog.text.count("cannot be kept") == 1
    assert "LODESTONE_CACHE" in caplog.text


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LODESTONE_CACHE", "~/here")
    assert cache_folder() == Path.home() / "here"
    monkeypatch.delenv("LODESTONE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/lodestone")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "lodestone"
