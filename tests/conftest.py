"""Fixtures that every test may use."""

import atexit
import importlib
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

# Converted models of the tests stay apart from the user's own.
os.environ["LODESTONE_CACHE"] = tempfile.mkdtemp(prefix="lodestone-tests-")
# None of them waits half a minute for an int8 model that it does not ask for.
os.environ["LODESTONE_QUANTIZE"] = "0"
atexit.register(shutil.rmtree, os.environ["LODESTONE_CACHE"], ignore_errors=True)
# Before anything imports Haystack, so that no test reports anything home.
importlib.import_module("lodestone")

REPOSITORY = Path(__file__).resolve().parents[1]


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
