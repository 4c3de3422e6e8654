"""The code in docs/searching.md runs and prints what its comments say."""

import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "searching.md"
PRINTED = re.compile(r"^print\(.*\)  # (.+)$", re.MULTILINE)


def test_the_code_prints_what_is_written_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    code = "".join(blocks)
    capsys.readouterr()
    names: dict[str, object] = {}
    exec(compile(code, str(GUIDE), "exec"), names)
    expected = PRINTED.findall(code)
    assert len(expected) == 5
    assert capsys.readouterr().out.splitlines() == expected
    names["store"].close()  # type: ignore[attr-defined]
