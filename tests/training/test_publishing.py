from pathlib import Path

import huggingface_hub.constants
import pytest

from lodestone.components.errors import ConfigurationError, LodestoneError
from lodestone.training.publishing import check_target, publish


@pytest.fixture
def reader(tmp_path: Path) -> Path:
    """What a run leaves."""
    folder = tmp_path / "reader"
    (folder / "checkpoints" / "checkpoint-3").mkdir(parents=True)
    (folder / "checkpoints" / "checkpoint-3" / "model.safetensors").write_text("half")
    for name in ("config.json", "model.safetensors", "tokenizer.json", "README.md", "training.json", "run.json"):
        (folder / name).write_text(name)
    (folder / "negatives.json").write_text("many")
    return folder


def test_a_folder_gets_the_reader_without_what_the_run_needed(reader: Path, tmp_path: Path) -> None:
    target = tmp_path / "public" / "mine"
    assert publish(reader, str(target)) == str(target)
    assert {file.name for file in target.iterdir()} == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "README.md",
        "training.json",
    }
    (reader / "config.json").write_text("newer")
    publish(reader, str(target))
    assert (target / "config.json").read_text() == "newer"
    assert [file.name for file in target.parent.iterdir()] == ["mine"]


def test_a_folder_that_holds_something_else_is_left_alone(reader: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("precious")
    with pytest.raises(ConfigurationError, match="holds something else than a trained reader"):
        publish(reader, str(tmp_path / "mine"))
    assert (tmp_path / "mine" / "diary.txt").exists()
    with pytest.raises(ConfigurationError, match="is the folder of a training run"):
        publish(reader, str(reader))


@pytest.mark.parametrize("target", ["", "name", "a/b/c", "https://huggingface.co/a/b"])
def test_a_target_that_is_neither_is_refused(target: str) -> None:
    with pytest.raises(ConfigurationError, match="takes OWNER/NAME on the hub or a folder"):
        check_target(target)


def test_the_hub_is_not_asked_offline_and_what_it_says_is_passed_on(
    reader: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigurationError, match="HF_HUB_OFFLINE is set"):
        check_target("me/reader")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)

    def refuse(*_: object, **__: object) -> None:
        raise ValueError("no token\nmore")

    monkeypatch.setattr("huggingface_hub.HfApi.create_repo", refuse)
    with pytest.raises(
        LodestoneError, match=r"'me/reader' cannot be pushed: no token; the reader is in .*hf auth login"
    ):
        publish(reader, "me/reader")


def test_the_hub_gets_the_same_files_as_a_folder(reader: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: dict[str, object] = {}
    monkeypatch.setattr("huggingface_hub.HfApi.create_repo", lambda self, name, exist_ok: f"https://hub/{name}")
    monkeypatch.setattr("huggingface_hub.HfApi.upload_folder", lambda self, **given: sent.update(given))
    assert publish(reader, "me/reader") == "https://hub/me/reader"
    assert (sent["repo_id"], sent["folder_path"]) == ("me/reader", str(reader))
    patterns = sent["allow_patterns"]
    assert isinstance(patterns, list)
    assert not {"run.json", "negatives.json", "checkpoints", "*"} & set(patterns)
