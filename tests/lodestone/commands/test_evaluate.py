import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lodestone.components.readers import ExtractiveReader

REPOSITORY = Path(__file__).resolve().parents[3]
Run = Callable[..., Any]
PARAGRAPHS = {
    "The lighthouse was built by Ida Holm in 1911.": [("Who built the lighthouse?", "Ida Holm"), ("When?", "1911")],
    "The ferry to Stenning leaves at noon.": [("When does the ferry to Stenning leave?", "noon"), ("Who won?", "")],
    "Seabirds nest on the cliffs of Little Tolm.": [("Where do seabirds nest?", "on the cliffs of Little Tolm")],
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A small file in SQuAD's format."""
    paragraphs = []
    for context, asked in PARAGRAPHS.items():
        qas = [
            {"id": f"{text}", "question": text, "answers": [{"text": answer}] if answer else []}
            for text, answer in asked
        ]
        paragraphs.append({"context": context, "qas": qas})
    file = tmp_path / "data.json"
    file.write_text(json.dumps({"data": [{"title": "t", "paragraphs": paragraphs}]}))
    return file


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """A small collection in BEIR's format."""
    folder = tmp_path / "collection"
    folder.mkdir()
    texts = [{"_id": f"d/{number}", "title": "About", "text": text} for number, text in enumerate(PARAGRAPHS)]
    queries = [{"_id": "q", "text": "the builder of the lighthouse"}, {"_id": "r", "text": "unjudged"}]
    for name, entries in (("corpus", texts), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq\td/0\t1\n")
    return folder


def test_squad_prints_a_table_and_writes_result_and_report(lodestone: Run, data: Path, tmp_path: Path) -> None:
    output, report = tmp_path / "result.json", tmp_path / "report.html"
    printed = lodestone("evaluate", "squad", data, "--output", output, "--report", report)
    assert printed.code == 0, printed.err
    assert "5 questions, 4 with an answer and 1 without" in printed.out
    # What ran, not what was asked for.
    assert json.loads(output.read_text())["settings"]["precision"] in ("float32", "bfloat16", "int8")
    assert re.search(r"Exact match +\d+\.\d % ", printed.out)
    assert re.search(r"Questions with a score above 0\.7 +\d+\.\d % +\d+\.\d % to \d+\.\d %", printed.out)
    assert max(map(len, printed.out.splitlines())) <= 80
    result = json.loads(output.read_text())
    assert (result["kind"], result["data"]["questions"], len(result["questions"])) == ("squad", 5, 5)
    assert result["questions"][0]["guesses"][0]["text"] == "Ida Holm"
    assert "<svg" in report.read_text()
    assert not list(tmp_path.glob("*.part"))


def test_json_is_one_line_with_the_figures(lodestone: Run, data: Path) -> None:
    printed = lodestone("evaluate", "squad", data, "--sample", 3, "--no-answer-threshold", 1, "--json")
    result = json.loads(printed.out)
    assert result["metrics"]["total"] == 3
    assert result["settings"]["no_answer_threshold"] == 1
    assert "questions" not in result


def test_the_paragraphs_of_squad_data_are_searched(lodestone: Run, data: Path, tmp_path: Path) -> None:
    options = ["--data", data, "--corpus-index", tmp_path / "index", "--json"]
    first = json.loads(lodestone("evaluate", "qa", *options).out)
    assert first["metrics"]["document_recall"] == 1
    assert first["settings"]["passages"] == 3
    assert json.loads(lodestone("evaluate", "qa", *options).out) == first
    # The same questions of another corpus may not be added to this index.
    data.write_text(data.read_text().replace("1911", "1912"))
    refused = lodestone("evaluate", "qa", *options)
    assert refused.code == 2
    assert "is the index of something else" in refused.err


def test_questions_in_lines_are_asked_of_files_or_of_an_index(
    lodestone: Run, example_index: Path, tmp_path: Path
) -> None:
    questions = tmp_path / "questions.jsonl"
    questions.write_text("".join((REPOSITORY / "examples" / "questions.jsonl").read_text().splitlines(True)[:3]))
    asked = json.loads(lodestone("evaluate", "qa", "--data", questions, "--index", example_index, "--json").out)
    assert asked["metrics"]["total"] == 3
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "welcome.md").write_text((REPOSITORY / "examples/corpus/about/welcome.md").read_text())
    (tmp_path / "corpus" / "picture.png").write_bytes(b"\x89PNG\r\n")
    printed = lodestone("evaluate", "qa", "--data", questions, "--corpus", tmp_path / "corpus", "--json")
    assert json.loads(printed.out)["settings"]["passages"] < asked["settings"]["passages"]
    assert "picture.png" in printed.err
    both = lodestone("evaluate", "qa", "--data", questions, "--corpus", tmp_path / "corpus", "--index", example_index)
    assert (both.code, "either --corpus" in both.err) == (2, True)


def test_what_was_stopped_over_one_corpus_is_not_asked_of_another(
    lodestone: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions, output = tmp_path / "questions.jsonl", tmp_path / "a.json"
    questions.write_text('{"question": "Who built the lighthouse?", "answer": "Ida Holm"}\n')
    for name, text in (("one", "The mill is old."), ("other", "The lighthouse was built by Ida Holm.")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "text.txt").write_text(text)
    options = ["evaluate", "qa", "--data", questions, "--output", output, "--json", "--corpus"]
    with monkeypatch.context() as stop:

        def interrupted(*args: Any, **options: Any) -> None:
            raise KeyboardInterrupt

        stop.setattr("lodestone.evaluation.qa.run_all", interrupted)
        assert lodestone(*options, tmp_path / "one").code == 1
    result = json.loads(lodestone(*options, tmp_path / "other").out)
    assert (result["settings"]["passages"], result["metrics"]["exact"]) == (1, 100)


def test_a_collection_is_searched_by_its_documents_names(lodestone: Run, collection: Path, tmp_path: Path) -> None:
    output = tmp_path / "result.json"
    options = ["--measure", "RR", "--measure", "R@1", "--output", output, "--report", tmp_path / "report.html"]
    printed = lodestone("evaluate", "retrieval", collection, *options)
    assert re.search(r"RR +1\.000", printed.out)
    result = json.loads(output.read_text())
    assert [each["id"] for each in result["questions"]] == ["q"]
    assert result["questions"][0]["documents"][0] == "d/0"
    assert result["questions"][0]["measures"] == {"RR": 1.0, "R@1": 1.0}


def test_an_unknown_measure_is_refused_before_the_corpus_is_indexed(
    lodestone: Run, collection: Path, tmp_path: Path
) -> None:
    options = ["--measure", "nDGC@10", "--corpus-index", tmp_path / "index"]
    refused = lodestone("evaluate", "retrieval", collection, *options)
    assert (refused.code, "'nDGC@10' is no measure" in refused.err) == (2, True)
    deep = lodestone("evaluate", "retrieval", collection, "--depth", 5, "--corpus-index", tmp_path / "index")
    assert (deep.code, "nDCG@10 looks at 10 documents, but only 5 are retrieved" in deep.err) == (2, True)
    assert not (tmp_path / "index").exists()


def test_two_runs_are_compared(lodestone: Run, data: Path, tmp_path: Path) -> None:
    runs = tmp_path / "a.json", tmp_path / "b.json"
    for run, threshold in zip(runs, (0, 1), strict=True):
        lodestone("evaluate", "squad", data, "--no-answer-threshold", threshold, "--output", run)
    printed = lodestone("evaluate", "compare", *runs)
    assert max(map(len, printed.out.splitlines())) <= 80
    assert re.search(r"exact +5 +0\.200 +\d\.\d+ +\+\d\.\d+", printed.out)
    assert 'count "no answer" as said above 0 in A and above 1 in B' in " ".join(printed.out.split())
    compared = json.loads(lodestone("evaluate", "compare", *runs, "--json").out)
    assert "above 1 in B" in compared["note"]
    assert (compared["first"], compared["second"]) == tuple(map(str, runs))
    names = [measure["name"] for measure in compared["measures"]]
    assert names[:6] == ["exact", "f1", "right", "brier", "log_loss", "no_answer_auroc"]
    assert compared["measures"][2]["difference"]["p_value"] == 1
    report = tmp_path / "compared.html"
    assert lodestone("evaluate", "compare", *runs, "--report", report).code == 0
    assert "Only B is right" in report.read_text()
    assert "would be overwritten" in lodestone("evaluate", "compare", *runs, "--report", runs[1]).err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--output", "none/result.json"], "there is no folder"),
        (["--report", "."], "would be overwritten"),
        (["--output", "data.json"], "would be overwritten"),
        (["--output", "both", "--report", "both"], "both would be overwritten"),
        (["--sample", "0"], "--sample"),
        (["--no-answer-threshold", "80"], "--no-answer-threshold"),
        (["--reader", "nowhere at all"], "there is no model folder"),
        (["--precision", "int9"], "int9"),
    ],
)
def test_what_cannot_work_is_refused_and_leaves_nothing(
    lodestone: Run, data: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], says: str
) -> None:
    monkeypatch.chdir(data.parent)
    before = data.read_text()
    refused = lodestone("evaluate", "squad", data, "--output", "result.json", *options)
    assert refused.code == 2
    assert says in refused.err
    assert data.read_text() == before
    assert os.listdir() == ["data.json"]


def test_a_malformed_file_is_refused_with_the_place(lodestone: Run, data: Path) -> None:
    data.write_text(data.read_text().replace('"question": "Who won?"', '"question": 1'))
    refused = lodestone("evaluate", "squad", data)
    assert refused.code == 2
    assert "data[0].paragraphs[1].qas[1] (id 'Who won?') is malformed: `question` must be a text" in refused.err


def stopped(data: Path, output: Path, by: signal.Signals) -> tuple[int, str]:
    """Begin a run over 320 questions and send a signal when some are answered; its exit code and what it said."""
    paragraph = "The lighthouse was built by Ida Holm in 1911. " * 8
    qas = [{"id": str(n), "question": f"Who built lighthouse {n}?", "answers": []} for n in range(320)]
    data.write_text(json.dumps({"data": [{"paragraphs": [{"context": paragraph, "qas": qas}]}]}))
    command = [sys.executable, "-m", "lodestone", "evaluate", "squad", str(data), "--output", str(output)]
    # Where the tests run in the background of a shell they inherit that Ctrl-C is ignored.
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    )
    deadline = time.monotonic() + 120
    while answered(output) == 0:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(by)
    _, err = process.communicate()
    return process.returncode, err


def answered(output: Path) -> int:
    """How many questions the file beside the output holds."""
    file = output.with_name(f"{output.name}.part") / "answers.jsonl"
    return max(0, file.read_bytes().count(b"\n") - 1) if file.exists() else 0


def test_a_run_that_was_killed_goes_on_and_ends_as_if_it_had_not(
    lodestone: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, output = tmp_path / "data.json", tmp_path / "a.json"
    assert stopped(data, output, signal.SIGKILL)[0] == -signal.SIGKILL
    done = answered(output)
    assert 0 < done < 320
    read = ExtractiveReader.run_batch
    asked: list[str] = []

    def counted(reader: ExtractiveReader, queries: list[str], *args: Any, **options: Any) -> dict[str, Any]:
        asked.extend(queries)
        return read(reader, queries, *args, **options)

    monkeypatch.setattr(ExtractiveReader, "run_batch", counted)
    lodestone("evaluate", "squad", data, "--output", output)
    assert len(asked) == 320 - done
    lodestone("evaluate", "squad", data, "--output", tmp_path / "b.json")
    assert output.read_text() == (tmp_path / "b.json").read_text()
    assert sorted(os.listdir(tmp_path)) == ["a.json", "b.json", "data.json"]


def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    code, err = stopped(tmp_path / "data.json", tmp_path / "a.json", signal.SIGINT)
    assert (code, err) == (1, "stopped; run the same command again to go on\n")
    assert answered(tmp_path / "a.json") > 0
