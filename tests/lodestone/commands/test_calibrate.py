"""`lodestone calibrate` on the example questions."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lodestone import ElasticsearchStore, ExtractiveReader

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
        (["--indexing", "indexing_faiss"], "--indexing goes with --pipeline"),
        (["--sample", "49", "--pipeline", "query_faiss", "--output", "a.json"], "at least 50 questions, got 49"),
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


FERRIES = [f"{first}{second}" for first in "ABCDEFGHIJKL" for second in ("lda", "rno")]


@pytest.fixture
def squad(tmp_path: Path) -> Path:
    """72 questions in SQuAD's format, a third of them without an answer."""
    paragraphs = []
    for number, ferry in enumerate(FERRIES):
        asked = {
            f"When was the {ferry} built?": str(1900 + number),
            f"How many cars does the {ferry} carry?": str(number),
        }
        qas = [{"id": text, "question": text, "answers": [{"text": answer}]} for text, answer in asked.items()]
        qas.append({"id": ferry, "question": f"Who painted the {ferry}?", "answers": []})
        context = f"The ferry {ferry} was built in {1900 + number}. She has room for {number} cars."
        paragraphs.append({"context": context, "qas": qas})
    file = tmp_path / "ferries.json"
    file.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    return file


def test_files_are_said_one_by_one_and_what_a_sample_leaves_out_is_said(
    lodestone: Run, squad: Path, example_index: Path, tmp_path: Path
) -> None:
    file = tmp_path / "mine.json"
    command = ["calibrate", "--data", squad, "--data", QUESTIONS, "--pipeline", "query_faiss", "--index", example_index]
    result = lodestone(*command, "--output", file, "--sample", 30)
    assert result.code == 0, result.err
    assert "30 of 72 questions are taken; more with --sample" in result.err
    assert "30 of 60 questions are taken" in result.err
    assert "ferries.json" in result.out
    assert "questions.jsonl" in result.out
    assert max(map(len, result.out.splitlines())) <= 80 + len(str(file))
    for figures in json.loads(file.read_text())["fitted_on"]["held_out"].values():
        assert [set(each) for each in figures["files"]] == [{"before", "after"}] * 2


def test_a_pipeline_is_fitted_to_its_own_index_of_the_paragraphs(lodestone: Run, squad: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    result = lodestone("calibrate", "--data", squad, "--pipeline", "query_faiss", "--output", file, "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["passages_per_question"] == 10
    refused = lodestone(
        "calibrate", "--data", squad, "--pipeline", "query_faiss", "--indexing", "nowhere", "--output", file
    )
    assert (refused.code, "nowhere" in refused.err) == (2, True)
    assert sorted(os.listdir(tmp_path)) == ["ferries.json", "mine.json"]


def test_a_pipeline_over_elasticsearch_is_fitted_to_what_it_retrieves(
    lodestone: Run, squad: Path, tmp_path: Path, elasticsearch_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELASTICSEARCH_URL", elasticsearch_url)
    options = ["--data", squad, "--pipeline", "query_elasticsearch", "--json"]
    result = lodestone("calibrate", *options, "--output", tmp_path / "mine.json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["passages_per_question"] == 10
    with ElasticsearchStore(index="test-ferries") as store:
        assert not store.client.indices.get(index="lodestone-evaluation-*").body
        kept = lodestone("evaluate", "qa", *options, "--corpus-index", "test-ferries", "--sample", 2)
        assert kept.code == 0, kept.err
        again = lodestone("calibrate", *options, "--index", "test-ferries", "--output", tmp_path / "again.json")
        store.delete_all_documents(recreate_index=True)
    assert {**json.loads(again.out), "output": ""} == {**json.loads(result.out), "output": ""}


def test_what_was_read_before_it_was_stopped_is_not_read_again(
    lodestone: Run, squad: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gather = ExtractiveReader.gather_evidence
    asked: list[str] = []

    def counted(reader: ExtractiveReader, queries: list[str], *args: Any) -> Any:
        if len(asked) == 64 and stops:
            raise KeyboardInterrupt
        asked.extend(queries)
        return gather(reader, queries, *args)

    monkeypatch.setattr(ExtractiveReader, "gather_evidence", counted)
    command = ["calibrate", "--data", squad, "--output"]
    stops = True
    stopped = lodestone(*command, tmp_path / "a.json")
    assert (stopped.code, stopped.err) == (1, "stopped; run the same command again to go on\n")
    stops = False
    asked.clear()
    assert lodestone(*command, tmp_path / "a.json").code == 0
    went_on = len(asked)
    asked.clear()
    assert lodestone(*command, tmp_path / "b.json").code == 0
    assert went_on == len(asked) - 64
    assert (tmp_path / "a.json").read_text() == (tmp_path / "b.json").read_text()
    assert sorted(os.listdir(tmp_path)) == ["a.json", "b.json", "ferries.json"]
