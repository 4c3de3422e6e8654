"""The command line as a newcomer uses it, and what it says when it is used wrongly."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
CORPUS = Path(__file__).resolve().parents[2] / "examples" / "corpus"
QUESTION = "Which word do crews say on the radio when something is burning?"


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    shutil.copy(CORPUS / "travel" / "bad-weather.txt", folder)
    return folder


def test_an_answer_is_a_card_with_its_quote_score_file_and_page(lodestone: Run, example_index: Path) -> None:
    result = lodestone("ask", QUESTION, "--index", example_index, "--top-k", 1)
    assert result.code == 0
    assert re.search(r"1  Bravo  \d\d%", result.out)
    assert "The word for fire on the internal radio is" in result.out
    assert "fleet/safety-manual.pdf, page 1" in result.out
    assert all(len(line) <= 80 for line in result.out.splitlines())


def test_no_answer_is_said_with_its_probability_and_the_nearest_passages(lodestone: Run, example_index: Path) -> None:
    result = lodestone("ask", "What hourly wage does a new deckhand earn?", "--index", example_index)
    assert result.code == 0
    assert re.search(r"No answer \(\d\d%\)", result.out)
    assert "The nearest passages:" in result.out


def test_json_holds_the_answer_where_it_stands(lodestone: Run, example_index: Path) -> None:
    from lodestone import FaissDocumentStore

    result = lodestone("ask", QUESTION, "--index", example_index, "--json")
    (line,) = result.out.splitlines()
    answered = json.loads(line)
    assert answered["query"] == QUESTION
    assert answered["answered"] is True
    assert answered["calibrated"] is True
    assert answered["model"] == "lodestone/reader-minilm"
    assert answered["index"] == str(example_index)
    stages = {"retrieve", "read", "tokenize", "forward", "spans", "merge", "total"}
    assert answered["timings_ms"].keys() == stages
    best = answered["answers"][0]
    assert (best["answer"], best["source"], best["page"]) == ("Bravo", "fleet/safety-manual.pdf", 1)
    with FaissDocumentStore(str(example_index)) as store:
        text = store.source_text(best["evidence"][0]["source_id"])
    assert text is not None
    assert text[best["start"] : best["end"]] == "Bravo"
    assert text[best["context_start"] : best["context_end"]] == best["context"]
    assert sum(a["score"] for a in answered["answers"]) + answered["no_answer_score"] <= 1 + 1e-9


def test_filters_keep_other_files_out(lodestone: Run, example_index: Path) -> None:
    def sources(*filters: str) -> set[str]:
        options = [part for text in filters for part in ("--filter", text)]
        lines = lodestone("search", "dogs on a lead", "--index", example_index, "--json", *options).out.splitlines()
        return {json.loads(line)["meta"]["source"] for line in lines}

    old, new = "travel/dogs-and-animals-2019.txt", "travel/dogs-and-animals-2024.md"
    assert {old, new} <= sources()
    assert sources(f"source == {old}") == {old}
    assert sources(f'source in ["{old}", "{new}"]', f"meta.source != {old}") == {new}
    assert sources(json.dumps({"field": "meta.source", "operator": "==", "value": new})) == {new}
    assert sources("page_number >= 2") <= {p.relative_to(CORPUS).as_posix() for p in CORPUS.rglob("*.p*")}


def test_search_shows_passages_only(lodestone: Run, example_index: Path) -> None:
    result = lodestone("search", "what a yellow flag over the ice house means", "--index", example_index, "--top-k", 2)
    assert result.code == 0
    assert "bad-weather.txt" in result.out
    assert "No answer" not in result.out


def test_a_file_of_questions_gives_a_file_of_answers(lodestone: Run, example_index: Path, tmp_path: Path) -> None:
    questions = [
        {"id": 7, "query": QUESTION},
        {"question": "Who launched the new hybrid ship?", "top_k": 1},
        {"query": "Who?", "filters": {"field": "meta.source", "operator": "==", "value": "fleet/mv-kittiwake.md"}},
    ]
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, questions)))
    command = ["ask", "--file", tmp_path / "q.jsonl", "--index", example_index]
    printed = lodestone(*command)
    assert lodestone(*command, "--output", tmp_path / "a.jsonl").out == ""
    answers = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]

    assert [a["id"] for a in answers] == [7, None, None]
    assert answers[0]["answers"][0]["answer"] == "Bravo"
    assert len(answers[1]["answers"]) == 1
    assert {a["source"] for a in answers[2]["answers"]} == {"fleet/mv-kittiwake.md"}
    drop = ("timings_ms",)
    first = [{k: v for k, v in json.loads(line).items() if k not in drop} for line in printed.out.splitlines()]
    assert first == [{k: v for k, v in answer.items() if k not in drop} for answer in answers]


def test_a_run_that_fails_leaves_the_answers_of_the_last_one(
    lodestone: Run, example_index: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_text("earlier answers")
    wrong = {"field": "meta.source", "operator": "like", "value": "x"}
    (tmp_path / "q.jsonl").write_text(json.dumps({"query": "Who?", "filters": wrong}))
    options = ["--index", example_index, "--output", tmp_path / "a.jsonl"]
    assert lodestone("ask", "--file", tmp_path / "q.jsonl", *options).code == 2
    assert (tmp_path / "a.jsonl").read_text() == "earlier answers"
    same = lodestone("ask", "--file", tmp_path / "a.jsonl", *options)
    assert (same.code, (tmp_path / "a.jsonl").read_text()) == (2, "earlier answers")


def test_a_filter_that_nothing_matches_is_said(lodestone: Run, example_index: Path) -> None:
    result = lodestone("ask", QUESTION, "--index", example_index, "--filter", "source == nowhere.txt")
    assert result.code == 0
    assert "nothing in the index matches the filter" in result.out


def test_a_field_that_no_passage_has_is_named_with_those_there_are(
    lodestone: Run, example_index: Path, tmp_path: Path
) -> None:
    says = "no passage has the field 'sorce'; there are "
    (tmp_path / "q.jsonl").write_text('{"query": "Who?"}\n{"query": "Why?"}\n')
    wrong = ["--index", example_index, "--filter", "sorce == leave.md"]
    for command in (["ask", "Who?"], ["ask", "--file", tmp_path / "q.jsonl"], ["search", "leave", "--json"]):
        result = lodestone(*command, *wrong)
        assert (result.code, len(result.err.splitlines())) == (0, 1)
        assert result.err.startswith(says)
        assert result.err.endswith("Did you mean 'source'?\n")
    nested = {"operator": "NOT", "conditions": [{"field": "meta.sorce", "operator": "!=", "value": "x"}]}
    assert lodestone("search", "leave", "--index", example_index, "--filter", json.dumps(nested)).err.startswith(says)
    known = lodestone("search", "leave", "--index", example_index, "--filter", "source == nowhere.txt")
    assert (known.code, known.err) == (0, "")


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_the_score_is_shown_however_long_the_answer_is(
    lodestone: Run, example_index: Path, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.console import Console

    monkeypatch.setattr("lodestone.commands.ask.console", lambda: Console(width=columns, highlight=False))
    result = lodestone("ask", "Why are the ferries painted dark green?", "--index", example_index, "--top-k", 1)
    assert re.search(r"1  because.*  \d\d%", result.out)
    assert all(len(line) <= columns for line in result.out.splitlines())


def test_min_score_hides_what_is_less_probable(lodestone: Run, example_index: Path) -> None:
    answered = json.loads(lodestone("ask", QUESTION, "--index", example_index, "--min-score", 0.5, "--json").out)
    assert [answer["answer"] for answer in answered["answers"]] == ["Bravo"]
    nothing = json.loads(lodestone("ask", QUESTION, "--index", example_index, "--min-score", 1, "--json").out)
    assert (nothing["answers"], nothing["answered"]) == ([], True)
    shown = lodestone("ask", QUESTION, "--index", example_index, "--min-score", 1).out
    assert "No answer reaches 100%" in shown


def test_an_uncalibrated_reader_shows_margins_and_refuses_min_score(
    lodestone: Run, example_index: Path, tmp_path: Path
) -> None:
    from lodestone.components.models import resolve_model

    shutil.copytree(resolve_model("lodestone/reader-minilm"), tmp_path / "mine")
    (tmp_path / "mine" / "calibration.json").unlink()
    command = ["ask", QUESTION, "--index", example_index, "--reader", tmp_path / "mine", "--top-k", 1]
    result = lodestone(*command)
    assert result.code == 0
    assert "uncalibrated" in result.out
    assert "%" not in result.out
    refused = lodestone(*command, "--min-score", 0.5)
    assert (refused.code, refused.out) == (2, "")
    assert "uncalibrated" in refused.err


def test_index_status_delete_and_index_again(lodestone: Run, docs: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    result = lodestone("index", docs, "--index", index)
    assert result.code == 0
    assert re.search(r"Indexed 1 file \(\d+ passages\) in", result.out)

    status = json.loads(lodestone("status", "--index", index, "--json").out)
    assert status["passages"] > 0
    assert status["sources"] == {"indexed": 1}
    assert status["embedding_model"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert "all-MiniLM-L6-v2" in lodestone("status", "--index", index).out

    assert lodestone("delete", docs / "bad-weather.txt", "--index", index).code == 0
    missing = lodestone("delete", "bad-weather.txt", "--index", index)
    assert missing.code == 1
    assert "0 files" in missing.out
    assert lodestone("ask", "Who?", "--index", index).code == 2  # nothing is left to ask
    assert "1 file" in lodestone("index", docs, "--index", index).out
    unknown = lodestone("delete", "other.txt", "--index", index)
    assert unknown.code == 1
    assert "Not in the index: other.txt" in unknown.out


def test_a_bad_file_is_named_and_the_exit_code_is_one(lodestone: Run, docs: Path, tmp_path: Path) -> None:
    (docs / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    result = lodestone("index", docs, "--index", tmp_path / "index")
    assert result.code == 1
    assert re.search(r"Failed: .*docs/broken\.pdf: (?!no text)", result.out)
    as_json = lodestone("index", docs, "--index", tmp_path / "index", "--json")
    report = json.loads(as_json.out.splitlines()[-1])
    assert as_json.code == 1
    assert (report["indexed"], report["unchanged"], len(report["failed"])) == (0, 1, 1)


def test_a_job_file_is_run_and_flags_go_before_it(lodestone: Run, docs: Path, tmp_path: Path) -> None:
    (docs / "leave.md").write_text("# Leave\n\nTwenty-five days a year.")
    (tmp_path / "job.yaml").write_text("sources: [docs]\nindex: index\nexclude: ['*.txt']\nworkers: 0\n")
    report = json.loads(lodestone("index", "--job", tmp_path / "job.yaml", "--json").out.splitlines()[-1])
    assert (report["indexed"], report["index"]) == (1, str(tmp_path / "index"))
    other = tmp_path / "other"
    options = ["--index", other, "--max-size", 1e-9, "--json"]
    report = json.loads(lodestone("index", docs, "--job", tmp_path / "job.yaml", *options).out.splitlines()[-1])
    assert (report["indexed"], report["index"]) == (0, str(other))
    assert all("too large" in failed["reason"] for failed in report["failed"])


def test_a_stopped_job_says_how_to_resume(
    lodestone: Run, docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lodestone.indexing.executors import local_executor

    def stop(batch: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(local_executor, "warm_up", stop)
    result = lodestone("index", docs, "--index", tmp_path / "my index", "--workers", 0)
    assert result.code == 1
    assert "Stopped after indexing 0 files" in result.out
    assert f"Resume with: lodestone index {docs} --index '{tmp_path}/my index' --workers 0" in result.err


def test_a_question_of_ten_thousand_words_is_answered_with_a_warning(
    lodestone: Run, example_index: Path, caplog: pytest.LogCaptureFixture
) -> None:
    result = lodestone("ask", f"{QUESTION} {'really ' * 10_000}", "--index", example_index, "--json")
    assert result.code == 0
    assert json.loads(result.out)["answers"]
    assert "only its first 64 are read" in caplog.text + result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["index", "{tmp}/nowhere"], "nowhere does not exist"),
        (["index", "{tmp}/empty"], "empty holds no files"),
        (["index"], "give a PATH to index, or --job"),
        (["index", "--job", "{tmp}/none.yaml"], "none.yaml cannot be read"),
        (["index", "--job", "{tmp}/job.yaml"], "job.yaml:2: unknown key 'worker'"),
        (["index", "{tmp}/docs", "--workers", "-1"], "workers must be at least 0, got -1"),
        (["index", "{tmp}/docs", "--report", "{tmp}/none/x.html"], "there is no folder"),
        (["index", "{tmp}/docs", "--report", "{tmp}"], "would be overwritten"),
        (["index", "{tmp}/docs", "--max-seconds", "0"], "the limit seconds must be a number above 0, got 0"),
        (["index", "{tmp}/docs", "{tmp}/empty", "--root-name", "x"], "names the root of one path, got 2 paths"),
        (["index", "{tmp}/docs", "--pipeline", "{tmp}/broken.yaml"], "broken.yaml:1"),
        (["index", "{tmp}/docs", "--pipeline", "{tmp}/unknown.yaml"], "unknown.yaml:3"),
        (["index", "{tmp}/docs", "--pipeline", "{tmp}/untrusted.yaml"], "untrusted.yaml:3"),
        (["index", "{tmp}/docs", "--pipeline", "no_such_definition"], "query_faiss"),
        (["index", "{tmp}/docs", "--pipeline", "query_faiss"], "DocumentWriter"),
        (["ask", "", "--index", "{index}"], "the question is empty"),
        (["ask", " \n", "--index", "{index}"], "the question is empty"),
        (["ask", "who \udcff is", "--index", "{index}"], "not valid UTF-8"),
        (["ask", "--file", "{tmp}/good.jsonl", "--output", "{tmp}/no/x", "--index", "{index}"], "there is no folder"),
        (["draw", "query_faiss", "--output", "{tmp}/no/x.svg"], "there is no folder"),
        (["store", "export", "{tmp}/no/x.jsonl", "--index", "{index}"], "make it first, or name another file"),
        (["index", "{tmp}/docs/*.pdf"], "no file matches"),
        (["ask", "Who?", "--top-k", "many"], "'--top-k': Input should be a valid integer, unable to parse string"),
        (["ask", "Who?", "--top-k", "many"], "got 'many'; see `lodestone ask --help`"),
        (["evaluate", "squad", "x.json", "--sample", "0"], "greater than or equal to 1, got '0'"),
        (["draw", "query_faiss", "--format", "gif"], "'gif' is not one of 'text', 'svg', 'mermaid'"),
        (["ask", "Who?", "--topk", "1"], "no such option: --topk"),
        (["ask", "Who?", "--top-k"], "option '--top-k' requires an argument"),
        (["aks", "Who?"], "no such command 'aks'"),
        (["delete"], "missing argument 'PATH...'"),
        (["delete", "", "--index", "{index}"], "must not be blank"),
        (["index", "{tmp}/docs", "--root-name", " "], "must not be blank"),
        (["ask", "--index", "{index}"], "give either a question or --file"),
        (["ask", "Who?", "--index", "{tmp}/none"], "there is no index in"),
        (["search", "x", "--index", "{tmp}/none"], "there is no index in"),
        (["status", "--index", "{tmp}/none"], "there is no index in"),
        (["delete", "x", "--index", "{tmp}/none"], "there is no index in"),
        (["ask", "Who?", "--index", "{tmp}/other"], "made with the embedding model other/model"),
        (["ask", "Who?", "--index", "{index}", "--top-k", "0"], "top_k must be at least 1, got 0"),
        (["ask", "Who?", "--index", "{index}", "--min-score", "80"], "between 0 and 1, got 80"),
        (["ask", "Who?", "--index", "{index}", "--filter", "source"], "cannot read the filter 'source'"),
        (["ask", "Who?", "--index", "{index}", "--filter", "content > x"], "wrong filter"),
        (["ask", "Who?", "--index", "{index}", "--reader", "{tmp}/empty"], "empty"),
        (["ask", "--file", "{tmp}/nowhere.jsonl", "--index", "{index}"], "nowhere.jsonl cannot be read"),
        (["ask", "--file", "{tmp}/bad.jsonl", "--index", "{index}"], "bad.jsonl:2: not JSON"),
        (["ask", "Who?", "--output", "x", "--index", "{index}"], "--output goes with --file"),
        (["validate", "{tmp}/unknown.yaml"], "unknown.yaml:3"),
        (["draw", "{tmp}/broken.yaml"], "broken.yaml:1"),
    ],
)
def test_wrong_usage_exits_with_two_and_one_line_that_says_what_to_change(
    lodestone: Run, example_index: Path, tmp_path: Path, docs: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.yaml").write_text("components: [")
    (tmp_path / "unknown.yaml").write_text("components:\n  reader:\n    type: lodestone.components.readers.Nope\n")
    (tmp_path / "untrusted.yaml").write_text("components:\n  evil:\n    type: subprocess.Popen\n")
    (tmp_path / "job.yaml").write_text("sources: [docs]\nworker: 1\n")
    (tmp_path / "good.jsonl").write_text('{"query": "Who?"}\n')
    (tmp_path / "bad.jsonl").write_text('{"query": "Who?"}\n{nope}\n')
    if "{tmp}/other" in arguments:
        from lodestone import FaissDocumentStore

        shutil.copytree(example_index, tmp_path / "other")
        with FaissDocumentStore(str(tmp_path / "other")) as store:
            store.set_setting("embedding_model", '{"model": "other/model", "fingerprint": "0"}')
    result = lodestone(*(text.format(tmp=tmp_path, index=example_index) for text in arguments))
    assert result.code == 2
    assert result.out == ""
    assert message in result.err
    assert "Traceback" not in result.err
    assert len(result.err.strip().splitlines()) == 1


def test_shipped_definitions_are_valid_and_can_be_drawn(lodestone: Run, tmp_path: Path) -> None:
    for name in ("indexing_faiss", "query_faiss"):
        assert lodestone("validate", name).code == 0
        drawn = lodestone("draw", name)
        assert drawn.code == 0
        assert all(len(line) <= 80 for line in drawn.out.splitlines())
        assert lodestone("draw", name, "--format", "svg", "--output", tmp_path / "p.svg").code == 0
        assert (tmp_path / "p.svg").read_text().startswith("<svg")
        assert "graph TD" in lodestone("draw", name, "--format", "mermaid").out


def test_json_on_stdout_is_all_that_a_program_sees(example_index: Path) -> None:
    command = [sys.executable, "-m", "lodestone", "ask", QUESTION, "--index", str(example_index), "--json"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(result.stdout)["answered"] is True
    assert result.stderr == ""
