"""Runs the command line with a job that writes a batch only when it is told to.

It prints a line when it is about to write a batch, and writes it when it reads a line; at the end of its input it runs
freely. `host=NAME` as the first argument makes it believe that it runs on another machine.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


@contextmanager
def told(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A process of this file that waits to write its first batch; it is killed in the end if it still runs."""
    command = [sys.executable, __file__, *map(str, arguments)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "writing\n"
            yield process
        finally:
            process.kill()


def _run() -> None:
    if sys.argv[1].startswith("host="):
        host = sys.argv.pop(1).removeprefix("host=")
        socket.gethostname = lambda: host
    from lodestone.commands import main
    from lodestone.indexing import job_recorder, writing

    write = writing.BatchWriter.write

    def write_when_told(writer: writing.BatchWriter, batch: list[writing.Item]) -> None:
        print("writing", flush=True)
        sys.stdin.readline()
        write(writer, batch)

    writing.BatchWriter.write = write_when_told  # type: ignore[method-assign]
    job_recorder._EVERY_SECONDS = 0.1
    main()


if __name__ == "__main__":
    _run()
