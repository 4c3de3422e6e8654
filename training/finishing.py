"""What is done with trained weights: probabilities are fitted, the reader is judged, its card is written."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lodestone.components.readers import ExtractiveReader
from lodestone.components.readers.calibration import CALIBRATION_FILE
from lodestone.evaluation.calibrating import bm25_passages, calibrate
from lodestone.evaluation.fingerprint import hash_files
from lodestone.evaluation.partial import sampled
from lodestone.evaluation.qa import read_qa
from lodestone.evaluation.reading import evaluate_squad
from lodestone.training.card import write_card
from lodestone.training.recipe import CalibrationData, Recipe


def finish(recipe: Recipe, folder: Path, record: dict[str, Any], tell: Callable[[str], None]) -> dict[str, Any]:
    """Calibrate and judge a reader that was written to a folder, and write its card there.

    :param recipe: The recipe.
    :param folder: The reader's folder.
    :param record: What is known of the run.
    :param tell: Takes lines on how it goes.
    :returns: The record with what was measured.
    """
    (folder / CALIBRATION_FILE).unlink(missing_ok=True)
    with _without_warnings():
        _measure(recipe, folder, record, tell)
    write_card(recipe, folder, record)
    return record


def _measure(recipe: Recipe, folder: Path, record: dict[str, Any], tell: Callable[[str], None]) -> None:
    headless = recipe.distillation is not None and recipe.distillation.kind == "intermediate"
    if recipe.calibration is not None and not headless:
        tell("fitting probabilities")
        record["calibration"] = _calibrate(recipe, recipe.calibration, folder)
    if recipe.evaluation is not None and not headless:
        tell("reading the evaluation's questions")
        result = evaluate_squad(Path(recipe.evaluation.file), _reader(recipe, folder), sample=recipe.evaluation.sample)
        record["evaluation"] = {"data": result.data, "metrics": result.metrics}
        tell(", ".join(f"{name} {result.metrics[name]:.2f}" for name in ("exact", "f1", "best_exact", "best_f1")))


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Keep the reader from saying that it has no calibration: it is about to get one, or its card says so."""
    logger = logging.getLogger(ExtractiveReader.__module__)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _calibrate(recipe: Recipe, data: CalibrationData, folder: Path) -> dict[str, Any]:
    file = Path(data.file)
    held = read_qa(file)
    questions = sampled(held.questions, data.sample)
    passages = bm25_passages(questions, list(held.paragraphs.values()))
    about = {"data": [{"file": file.name, "sha256": hash_files([file]), "questions": len(questions)}]}
    fitted = calibrate(_reader(recipe, folder), questions, passages, fresh=True, about=about)
    fitted.save(folder / CALIBRATION_FILE)
    return fitted.fitted_on


def _reader(recipe: Recipe, folder: Path) -> ExtractiveReader:
    windows = recipe.windows
    return ExtractiveReader(
        str(folder),
        max_seq_length=windows.max_seq_length,
        stride=windows.stride,
        max_query_length=windows.max_query_length,
        max_answer_length=windows.max_answer_length,
    )
