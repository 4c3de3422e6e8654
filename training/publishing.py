"""A trained reader put where others find it: a folder, or a repository on the hub."""

import re
import shutil
from pathlib import Path

from lodestone.components.errors import ConfigurationError, LodestoneError
from lodestone.components.readers.calibration import CALIBRATION_FILE
from lodestone.training.card import CARD_FILE, RECIPE_FILE
from lodestone.training.checkpoints import DONE_FILE, RUN_FILE

_PUBLISHED = (
    "config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    CALIBRATION_FILE,
    CARD_FILE,
    RECIPE_FILE,
    DONE_FILE,
)
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def check_target(target: str) -> None:
    """Refuse before the work a place that nothing could be published to after it.

    :param target: As for `publish`.
    :raises ConfigurationError: If it is neither a folder's path nor a hub name, or the folder holds something else.
    """
    folder = _folder(target)
    if folder is None:
        from huggingface_hub.constants import HF_HUB_OFFLINE

        if not _HUB_NAME.fullmatch(target):
            raise ConfigurationError(f"--push takes OWNER/NAME on the hub or a folder (./NAME, /...), got {target!r}")
        if HF_HUB_OFFLINE:
            raise ConfigurationError(f"{target!r} is on the hub and HF_HUB_OFFLINE is set; unset it, or name a folder")
    elif (folder / RUN_FILE).exists():
        raise ConfigurationError(f"{folder} is the folder of a training run; name another folder")
    elif folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / DONE_FILE).is_file())):
        raise ConfigurationError(f"{folder} holds something else than a trained reader; name another folder")


def publish(reader: Path, target: str) -> str:
    """Copy a reader, without its checkpoints.

    :param reader: The folder of a finished run.
    :param target: A folder, which begins with `.`, `/` or `~` or exists, or `owner/name` on the hub, whose repository
        is made where there is none. A folder that a reader was published to is replaced.
    :returns: Where it is now.
    :raises ConfigurationError: As `check_target`.
    :raises LodestoneError: If the hub does not take it.
    """
    check_target(target)
    folder = _folder(target)
    if folder is None:
        return _upload(reader, target)
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for pattern in _PUBLISHED:
        for file in reader.glob(pattern):
            shutil.copyfile(file, part / file.name)
    if folder.exists():
        shutil.rmtree(folder)
    part.replace(folder)
    return str(folder)


def _folder(target: str) -> Path | None:
    """The folder that is meant, or None for a name on the hub."""
    path = Path(target).expanduser()
    return path if target.startswith((".", "/", "~")) or (target and path.exists()) else None


def _upload(reader: Path, name: str) -> str:
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        url = api.create_repo(name, exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=str(reader), allow_patterns=list(_PUBLISHED))
    except Exception as error:  # the hub's HTTP library has its own family of errors
        reason = str(error).splitlines()[0]
        raise LodestoneError(
            f"{name!r} cannot be pushed: {reason}; the reader is in {reader}; log in with `hf auth login`, or push to "
            "a folder"
        ) from error
    return str(url)
