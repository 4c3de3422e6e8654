from pathlib import Path

import pytest

from lodestone.components.errors import ConfigurationError
from lodestone.components.readers import ExtractiveReader
from lodestone.components.readers.calibration import cached_calibration, hash_weights
from lodestone.evaluation.fingerprint import hash_files, hash_pipeline, hash_reader
from lodestone.pipelines import load_pipeline


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder that looks like a model's."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


@pytest.mark.parametrize("changed", ["config.json", "model.safetensors", "calibration.json"])
def test_a_reader_is_another_when_a_file_of_its_model_is(model: Path, changed: str) -> None:
    before = hash_reader(ExtractiveReader(str(model)))
    assert hash_reader(ExtractiveReader(str(model))) == before
    (model / changed).write_bytes(b"other")
    assert hash_reader(ExtractiveReader(str(model))) != before


def test_a_reader_is_another_with_other_parameters_or_another_calibration(model: Path, tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    hashes = {hash_reader(ExtractiveReader(str(model))), hash_reader(ExtractiveReader(str(model), max_answer_length=9))}
    for content in ("one", "other"):
        file.write_text(content)
        hashes.add(hash_reader(ExtractiveReader(str(model), calibration=str(file))))
    assert len(hashes) == 4


def test_a_reader_is_another_with_the_calibration_that_is_kept_for_its_weights(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LODESTONE_CACHE", str(tmp_path / "cache"))
    before = hash_reader(ExtractiveReader(str(model)))
    kept = cached_calibration(hash_weights(model))
    kept.parent.mkdir(parents=True)
    kept.write_text("kept")
    assert hash_reader(ExtractiveReader(str(model))) != before


def test_a_model_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no model folder"):
        hash_reader(ExtractiveReader(str(tmp_path / "gone")))


def test_a_pipeline_is_the_same_wherever_its_index_is(tmp_path: Path) -> None:
    here, there = (hash_pipeline(load_pipeline("query_faiss", index=tmp_path / name)) for name in ("here", "there"))
    assert here == there
    overrides = {"FaissHybridRetriever": {"top_k": 3}}
    assert hash_pipeline(load_pipeline("query_faiss", overrides=overrides)) != here


def test_files_are_hashed_by_what_is_in_them(tmp_path: Path) -> None:
    for name, content in (("a", "one"), ("b", "one"), ("c", "two")):
        (tmp_path / name).write_text(content)
    a, b, c = (hash_files([tmp_path / name]) for name in "abc")
    assert a == b != c
    assert hash_files([tmp_path / "a", tmp_path / "c"]) != hash_files([tmp_path / "c", tmp_path / "a"])
