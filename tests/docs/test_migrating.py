"""The code in docs/migrating.md runs and prints what its comments say."""

import ast
import re
from pathlib import Path

import pytest

from lodestone.components.models import resolve_model

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "migrating.md"
PRINTED = re.compile(r"^print\(.*\)  # (.+)$", re.MULTILINE)


def sections() -> dict[str, list[str]]:
    """The blocks of each section that hold new code, in order."""
    found = {}
    for section in GUIDE.read_text(encoding="utf-8").split("\n## ")[1:]:
        title, _, text = section.partition("\n")
        found[title] = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return found


@pytest.mark.parametrize("title", sections())
def test_the_new_calls_run_and_print_what_is_written_beside_them(
    title: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(resolve_model("lodestone/reader-minilm"))
    names: dict[str, object] = {}
    blocks = sections()[title]
    assert blocks
    for block in blocks:
        capsys.readouterr()
        exec(compile(block.replace("deepset/roberta-base-squad2", folder), str(GUIDE), "exec"), names)
        assert capsys.readouterr().out.splitlines() == PRINTED.findall(block)


def test_old_and_new_code_can_be_parsed() -> None:
    blocks = re.findall(r"^```python[^\n]*\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) > 8
    for block in blocks:
        ast.parse(block)
