"""The scripts of examples/ and the snippets of the README do what they say."""

import os
import re
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def run(script: Path, folder: Path, *arguments: object) -> str:
    command = [sys.executable, str(script), *map(str, arguments)]
    environment = os.environ | {"COLUMNS": "80"}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, env=environment).stdout


def test_the_quick_start_indexes_and_answers(tmp_path: Path) -> None:
    out = run(REPOSITORY / "examples" / "quickstart.py", tmp_path)
    assert "what was left over from the school gates at Stenning" in out
    assert "about/welcome.md" in out
    code = (REPOSITORY / "examples" / "quickstart.py").read_text().split('"""')[-1]
    assert len([line for line in code.splitlines() if line.strip()]) <= 15


def test_the_readme_shows_the_quick_start_as_it_is() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)
    code = (REPOSITORY / "examples" / "quickstart.py").read_text().split('"""')[-1]
    assert any(
        block.strip() == code.strip().replace('Path(__file__).parent / "corpus"', 'Path("examples/corpus")')
        for block in blocks
    )


def test_the_demo_answers_five_questions_and_says_how_to_ask_more(example_index: Path, tmp_path: Path) -> None:
    out = run(REPOSITORY / "examples" / "demo.py", tmp_path, "--index", example_index)
    assert "Bravo" in out
    assert "£7,200" in out
    assert "No answer" in out
    assert "lodestone ask" in out
