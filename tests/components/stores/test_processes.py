"""The trials of `benchmarks/`, shortened: writers that are killed, and readers beside a writer."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"


@pytest.mark.parametrize(
    ("command", "end"),
    [
        (["kill_store.py", "--kills", "6", "--seed", "1", "--parts", "kills"], "nothing was lost"),
        (["read_while_writing.py", "--minutes", "0.1", "--readers", "2"], "no error, no torn result"),
    ],
)
def test_a_trial_ends_well(command: list[str], end: str) -> None:
    script, *options = command
    result = subprocess.run(
        [sys.executable, str(BENCHMARKS / script), *options], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.splitlines()[-1] == end
