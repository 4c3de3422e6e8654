"""Nodes of Elasticsearch that a trial may kill, and the files that it writes into them."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from haystack import Document

from lodestone.components.stores import SourceRecord, SourceText

PER_FILE = 10
DIM = 64

Source = tuple[SourceRecord, list[SourceText], list[Document]]


class Nodes:
    """A cluster on this machine.

    :param launcher: What starts and stops it: `LAUNCHER start|stop --run DIR [--kill] [--port N] [--node N]`.
    :param folder: Its data and logs.
    :param port: HTTP port of the first node; the next has the next.
    :param count: How many nodes.
    :param heap: Of each, such as "512m".
    """

    def __init__(self, launcher: Path, folder: Path, port: int, count: int = 1, heap: str = "512m") -> None:
        self._command = [sys.executable, str(launcher)]
        self._run_options = ["--run", str(folder)]
        self._cluster = ["--nodes", str(count), "--port", str(port), "--transport-port", str(port + 100)]
        self._cluster += ["--heap", heap]
        self.urls = [f"http://127.0.0.1:{port + number}" for number in range(count)]

    def start(self, number: int | None = None) -> None:
        """Start all of them, or one that was killed, and wait until it answers.

        :param number: Which, from 0; None for all.
        """
        chosen = self._chosen(number)
        command = [*self._command, "start", *self._run_options, *self._cluster, *chosen]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def kill(self, number: int | None = None) -> None:
        """SIGKILL.

        :param number: Which, from 0; None for all.
        """
        subprocess.run([*self._command, "stop", "--kill", *self._run_options, *self._chosen(number)], check=True)

    def _chosen(self, number: int | None) -> list[str]:
        return [] if number is None else ["--node", str(number + 1)]


def source(number: int) -> Source:
    """A file with its passages, each with a word of its own."""
    chance, path = np.random.default_rng(number), f"{number:06}.md"
    passages = [
        Document(
            id=f"{number:06}-{place}",
            content=f"Passage {place} of file {number}: {word(number, place)}.",
            meta={"root": "docs", "source": path, "split_id": place},
            embedding=chance.standard_normal(DIM).tolist(),
        )
        for place in range(PER_FILE)
    ]
    record = SourceRecord("docs", path, 1, 1, "hash", "pipeline", "indexed", None, PER_FILE, time.time())
    return record, [SourceText(f"text-{number}", "text", {})], passages


def word(number: int, place: int) -> str:
    """The word that only one passage has."""
    return f"only{number}x{place}"
