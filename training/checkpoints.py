"""Checkpoints: which of them are whole, and whose they are."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lodestone.components.errors import ConfigurationError

CHECKPOINTS = "checkpoints"
RUN_FILE = "run.json"
DONE_FILE = "training.json"
_WHOLE = "whole"
_LOCK = ".lock"


def mark_whole(checkpoint: Path) -> None:
    """Say that everything of a checkpoint was written."""
    (checkpoint / _WHOLE).touch()


def last_whole(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end; what a kill cut off is removed.

    :param folder: The folder of a run's checkpoints; it may be missing.
    :returns: The checkpoint, or None where there is none.
    """
    found = [path for path in folder.glob("checkpoint-*") if path.name.split("-")[-1].isdigit()]
    for path in found:
        if not (path / _WHOLE).exists():
            shutil.rmtree(path)
    whole = [path for path in found if path.exists()]
    return max(whole, key=lambda path: int(path.name.split("-")[-1]), default=None)


def has_ended(checkpoint: Path) -> bool:
    """Whether nothing was left to train behind a checkpoint: all steps were done, or it was stopped early.

    :param checkpoint: A whole checkpoint.
    """
    state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    control = state["stateful_callbacks"].get("TrainerControl", {}).get("args", {})
    return bool(state["global_step"] >= state["max_steps"] or control.get("should_training_stop"))


@contextmanager
def run_folder(output: Path, run: dict[str, Any], fresh: bool) -> Iterator[None]:
    """Hold the folder of a run: make it, or see that what is in it is of the same run and nobody is at it.

    :param output: The folder.
    :param run: What decides the result, as JSON has it: recipe, data, base model.
    :param fresh: Whether to remove what is there of a run.
    :raises ConfigurationError: If the folder holds another run or something else, or another process trains there.
    """
    file = output / RUN_FILE
    if output.exists() and not output.is_dir():
        raise ConfigurationError(f"{output} is a file; name a folder for the reader (--output)")
    if output.is_dir() and not file.is_file() and any(path.name != _LOCK for path in output.iterdir()):
        raise ConfigurationError(f"{output} is not empty and holds no training run; name another folder (--output)")
    output.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(output / _LOCK, timeout=0):
            _take_over(output, run, fresh)
            yield
    except Timeout:
        raise ConfigurationError(f"{output} is being trained by another process; wait for it, or stop it") from None


def _take_over(output: Path, run: dict[str, Any], fresh: bool) -> None:
    file = output / RUN_FILE
    held = _read(file) if file.is_file() and not fresh else {}
    if held == run and not fresh:
        return
    # What was stopped before it learned anything, by bad data perhaps, need not be kept.
    if not fresh and ((output / DONE_FILE).is_file() or last_whole(output / CHECKPOINTS) is not None):
        unlike = sorted(key for key in {*held, *run} if held.get(key) != run.get(key))
        raise ConfigurationError(
            f"{output} holds a run with another {', '.join(unlike)}; name another folder (--output), or begin anew "
            "there (--fresh)"
        )
    for path in output.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != _LOCK:
            path.unlink()
    write_json(file, run)


def write_json(file: Path, value: Any) -> None:
    """Write a JSON file so that it is there whole or not at all."""
    part = file.with_name(f".{file.name}.part")
    part.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(file)


def _read(file: Path) -> dict[str, Any]:
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{file} cannot be read: {error}; begin anew (--fresh)") from error
    return held if isinstance(held, dict) else {}
