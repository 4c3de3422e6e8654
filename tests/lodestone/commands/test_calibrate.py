"""`lodestone calibrate` on the example questions."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lodestone import ExtractiveReader

Run = Callable[..., Any]
QUESTIONS = Path(__file__).resolve().parents[3] / "examples" / "questions.jsonl"


def test_a_pipelines_calibration_is_a_file_that_its_reader_names(
    lodestone: Run, example_index: Path, tmp_path: Path
) -> None:
    file = tmp_path / "mine.json"
    command = ["calibrate", "--data", QUESTIONS, "--pipeline", "query_faiss", "--index", example_index]
    result = lodestone(*command, "--output", file, "--json")
    assert result.code == 0, result.err
    said = json.loads(result.out)
    assert said["output"] == str(file)
    assert said["data"][0]["file"] == "questions.jsonl"
    assert (said["questions"], said["unanswerable"]) == (60, 12)
    assert len(said["pipeline_sha256"]) == 64
    reader = ExtractiveReader(calibration=str(file))
    assert reader.fitted_calibration is not None
    assert reader.fitted_calibration != ExtractiveReader().fitted_calibration


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--pipeline", "query_faiss"], "give --output"),
        (["--index", "somewhere"], "--index goes with --pipeline"),
        (["--output", "."], ". would be overwritten"),
        (["--output", str(QUESTIONS)], "would be overwritten"),
        (["--output", "none/a.json"], "none/a.json cannot be written: there is no folder none"),
        ([], "JSON lines hold no paragraphs"),
        (["--data", str(QUESTIONS)], "is given twice"),
    ],
)
def test_what_does_not_go_together_is_refused(lodestone: Run, options: list[str], message: str) -> None:
    result = lodestone("calibrate", "--data", QUESTIONS, *options)
    assert result.code == 2
    assert message in result.err


def test_a_copy_of_a_file_is_that_file(lodestone: Run, tmp_path: Path) -> None:
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(QUESTIONS.read_bytes())
    result = lodestone("calibrate", "--data", QUESTIONS, "--data", copy)
    assert result.code == 2
    assert "or a copy of it, is given twice" in result.err


@pytest.mark.parametrize(
    ("command", "default"),
    [("calibrate", "the cache, where the reader finds it"), ("ask", "the pipeline's, .lodestone"), ("index", "120")],
)
def test_help_says_what_is_taken_unasked(lodestone: Run, command: str, default: str) -> None:
    shown = " ".join(lodestone(command, "--help").out.replace("│", " ").split())
    assert f"[default: {default}" in shown
