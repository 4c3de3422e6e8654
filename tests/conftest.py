"""Fixtures that every test may use."""

import atexit
import importlib
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import elasticsearch_server
import pytest

# Converted models of the tests stay apart from the user's own.
os.environ["LODESTONE_CACHE"] = tempfile.mkdtemp(prefix="lodestone-tests-")
# None of them waits half a minute for an int8 model that it does not ask for.
os.environ["LODESTONE_QUANTIZE"] = "0"
atexit.register(shutil.rmtree, os.environ["LODESTONE_CACHE"], ignore_errors=True)
# Before anything imports Haystack, so that no test reports anything home.
importlib.import_module("lodestone")

REPOSITORY = Path(__file__).resolve().parents[1]
WITHOUT_ELASTICSEARCH = "no Elasticsearch to test against"


class Outcome(NamedTuple):
    """What a command did: its exit code and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of data and tokenizers that lies beside a developer's checkout; a test that needs it is skipped."""
    folder = Path(os.environ.get("LODESTONE_SHARED", REPOSITORY / ".." / "shared")).resolve()
    if not folder.is_dir():
        pytest.skip("needs the shared data: set LODESTONE_SHARED to its folder")
    return folder


@pytest.fixture(scope="session")
def example_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of the example documents, for reading only."""
    from lodestone.indexing import IndexingJob
    from lodestone.pipelines import load_pipeline
    from lodestone.pipelines.stages import cut_at_embedder

    folder = tmp_path_factory.mktemp("examples") / "index"
    stages = cut_at_embedder(load_pipeline("indexing_faiss", index=folder))
    report = IndexingJob(stages).run([REPOSITORY / "examples" / "corpus"])
    stages.document_store.close()
    assert report.complete, report.to_dict()
    return folder


@pytest.fixture(scope="session")
def elasticsearch_own() -> Iterator[elasticsearch_server.Server]:
    """A node of Elasticsearch that belongs to the tests, started when it is first asked for."""
    if (missing := elasticsearch_server.missing()) is not None:
        pytest.skip(f"{WITHOUT_ELASTICSEARCH}: {missing}")
    # In memory where that is possible: a disk would make every write wait.
    folder = tempfile.mkdtemp(prefix="elasticsearch-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    server = elasticsearch_server.Server(Path(folder))
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def elasticsearch_url(request: pytest.FixtureRequest) -> str:
    """A server to test against: that of ELASTICSEARCH_URL, or else the tests' own."""
    return os.environ.get("ELASTICSEARCH_URL") or str(request.getfixturevalue("elasticsearch_own").url)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line that a server was missing, which a row of dots would hide."""
    skipped = [
        report for report in terminalreporter.stats.get("skipped", []) if WITHOUT_ELASTICSEARCH in str(report.longrepr)
    ]
    reasons = {str(report.longrepr[2]).removeprefix("Skipped: ") for report in skipped}
    for reason in sorted(reasons):
        terminalreporter.write_line(f"{len(skipped)} tests skipped, {reason}; or set ELASTICSEARCH_URL")


@pytest.fixture
def example_index_copy(example_index: Path, tmp_path: Path) -> Path:
    """An index of the example documents that the test may change."""
    return Path(shutil.copytree(example_index, tmp_path / "index"))


@pytest.fixture
def lodestone(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Run the command line in this process, as `lodestone ARGUMENTS` would at 80 columns."""
    from lodestone.commands import main

    monkeypatch.setattr(logging.root, "handlers", list(logging.root.handlers))
    monkeypatch.setattr(logging.root, "level", logging.root.level)

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["lodestone", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "80")
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capsys.readouterr()
        return Outcome(int(stop.value.code or 0), out, err)

    return run
