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
TEACHER_FOLDER = "teacher"
NEGATIVES_FILE = "negatives.json"
LEFT_OUT_FILE = "left_out.jsonl"
_WHOLE = "whole"
_LOCK = ".lock"
# What a run leaves in its folder: --fresh removes it, and nothing else.
_LEFT = (
    DONE_FILE,
    LEFT_OUT_FILE,
    NEGATIVES_FILE,
    "README.md",
    "recipe.yaml",
    "calibration.json",
    "config.json",
    "model*.safetensors*",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
)


def mark_whole(checkpoint: Path, processes: int = 1) -> None:
    """Say that everything of a checkpoint was written.

    :param checkpoint: The checkpoint.
    :param processes: How many wrote it.
    """
    (checkpoint / _WHOLE).write_text(f"{processes}\n", encoding="utf-8")


def processes_of(checkpoint: Path) -> int | None:
    """How many processes wrote a checkpoint, or None where that is not known.

    :param checkpoint: A whole checkpoint.
    """
    text = (checkpoint / _WHOLE).read_text(encoding="utf-8").strip()
    return int(text) if text.isdigit() else None


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
    :param fresh: Whether to remove what is there of a run; other files are left alone.
    :raises ConfigurationError: If the folder holds another run or something else, or another process trains there.
    """
    file = output / RUN_FILE
    if output.exists() and not output.is_dir():
        raise ConfigurationError(f"{output} is a file; name a folder for the reader (--output)")
    if output.is_dir() and not _is_run(file) and any(path.name != _LOCK for path in output.iterdir()):
        raise ConfigurationError(f"{output} is not empty and holds no training run; name another folder (--output)")
    output.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(output / _LOCK, timeout=0):
            _take_over(output, run, fresh)
            yield
    except Timeout:
        raise ConfigurationError(f"{output} is being trained by another process; wait for it, or stop it") from None


def _is_run(file: Path) -> bool:
    """Whether a file is a run's; of a damaged one that cannot be told, and --fresh removes only what runs make."""
    try:
        return "recipe" in _read(file)
    except ConfigurationError:
        return file.is_file()


def _take_over(output: Path, run: dict[str, Any], fresh: bool) -> None:
    file, checkpoints = output / RUN_FILE, output / CHECKPOINTS
    held = _read(file) if file.is_file() and not fresh else {}
    if held == run and not fresh:
        return
    # What was stopped before it learned anything, by bad data perhaps, need not be kept; but a teacher's logits and
    # negatives are known by what they were made of, and may fit the corrected run as well.
    if not fresh and ((output / DONE_FILE).is_file() or last_whole(checkpoints) is not None):
        unlike = sorted(key for key in {*held, *run} if held.get(key) != run.get(key))
        raise ConfigurationError(
            f"{output} holds a run with another {', '.join(unlike)}; name another folder (--output), or begin anew "
            "there (--fresh)"
        )
    # A checkpoint that is half removed must not be taken for a whole one.
    for mark in checkpoints.glob(f"checkpoint-*/{_WHOLE}"):
        mark.unlink()
    for folder in (CHECKPOINTS, TEACHER_FOLDER) if fresh else (CHECKPOINTS,):
        shutil.rmtree(output / folder, ignore_errors=True)
    for pattern in _LEFT if fresh else ():
        for path in output.glob(pattern):
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
