"""Watching `lodestone index`: in a terminal, and by its events."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
PIPELINE = """\
components:
  converter: {type: haystack.components.converters.txt.TextFileToDocument}
  splitter: {type: lodestone.components.splitters.passage_splitter.PassageSplitter}
  writer:
    type: haystack.components.writers.document_writer.DocumentWriter
    init_parameters:
      document_store:
        type: lodestone.components.stores.faiss_document_store.FaissDocumentStore
        init_parameters: {path: index}
connections:
  - {sender: converter.documents, receiver: splitter.documents}
  - {sender: splitter.documents, receiver: writer.documents}
"""


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """Index a folder of text files, one of them empty, without a model."""
    docs = tmp_path / "docs"
    docs.mkdir()
    for number in range(5):
        (docs / f"{number}.txt").write_text(f"Ferry {number} leaves at nine.")
    (docs / "empty.txt").write_text("")
    (tmp_path / "words.yaml").write_text(PIPELINE)
    given = ["index", docs, "--pipeline", tmp_path / "words.yaml", "--index", tmp_path / "index"]
    return [sys.executable, "-m", "lodestone", *map(str, given)]


def in_a_terminal(command: list[str], columns: int) -> str:
    """Run a command in a terminal of its own; all that it writes there."""
    process, terminal = pty.fork()
    if process == 0:
        os.environ["TERM"] = "xterm"
        os.environ.pop("COLUMNS", None)
        os.execv(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    written = b""
    try:
        while block := os.read(terminal, 65536):
            written += block
    except OSError:  # Linux says so when the other side has ended
        pass
    os.close(terminal)
    os.waitpid(process, 0)
    return written.decode()


def test_in_a_terminal_a_job_is_watched_and_leaves_its_report_only(command: list[str]) -> None:
    written = in_a_terminal(command, 80)
    assert re.search(r"Indexing .*━.*\d+%", written)
    assert "to convert" in written
    # What is left on the screen begins behind the last line that was erased.
    left = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.rpartition("\x1b[2K")[2]).strip().splitlines()
    assert re.fullmatch(r"Indexed 5 files \(5 passages\), 1 failed in [\d.]+ s\.", left[0])
    assert left[-1].endswith("index holds 5 passages.")
    assert len(left) == 3


def test_without_a_terminal_nothing_is_drawn(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("Indexed 5 files")


def test_json_is_a_stream_of_events_also_in_a_terminal(command: list[str]) -> None:
    lines = in_a_terminal([*command, "--json"], 80).splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["event"] for event in events if event["event"] != "progress"] == ["start", *["file"] * 6, "report"]
    assert events[-1]["passages_in_index"] == 5
    assert events[0]["index"] == events[-1]["index"]


def test_a_job_whose_events_nobody_reads_any_more_ends(command: list[str]) -> None:
    shell = f"{' '.join(command)} --json | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True)
    first, code = done.stdout.splitlines()
    assert (json.loads(first)["event"], code, done.stderr) == ("start", "1", "")
