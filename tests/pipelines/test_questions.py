from pathlib import Path

import pytest

from lodestone.components.errors import ConfigurationError
from lodestone.pipelines.questions import read_questions

OWN = '{"field": "meta.a", "operator": "==", "value": 1}'


def test_each_line_is_a_question_with_its_own_settings(tmp_path: Path) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text(f'\ufeff{{"query": "One?"}}\n\n{{"question": "Two?", "id": 2, "top_k": 1, "filters": {OWN}}}\n')
    common = {"field": "meta.b", "operator": "==", "value": 2}
    one, two = read_questions(file, filters=common, top_k=9)
    assert (one.text, one.id, one.top_k, one.filters) == ("One?", None, 9, common)
    assert (two.text, two.id, two.top_k) == ("Two?", 2, 1)
    assert two.filters is not None
    assert two.filters["operator"] == "AND"
    assert [condition["field"] for condition in two.filters["conditions"]] == ["meta.b", "meta.a"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nonsense", "not JSON"),
        ('["Who?"]', "must be a JSON object"),
        ("{}", "`query` must be a question"),
        ('{"query": "  "}', "`query` must be a question"),
        ('{"query": 7}', "`query` must be a question"),
        ('{"query": "Who?", "top_k": 0}', "`top_k` must be a whole number of at least 1, got 0"),
        ('{"query": "Who?", "top_k": true}', "`top_k`"),
        ('{"query": "Who?", "filters": "x"}', "`filters` must be a Haystack filter"),
    ],
)
def test_a_wrong_line_is_named(line: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text(f'{{"query": "Fine?"}}\n{line}\n')
    with pytest.raises(ConfigurationError, match=rf"q\.jsonl:2: {message}"):
        read_questions(tmp_path / "q.jsonl")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\x00"])
def test_a_file_without_questions_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"q\.jsonl"):
        read_questions(tmp_path / "q.jsonl")
