import json
from pathlib import Path

import pytest
from haystack.dataclasses import ByteStream

from lodestone.components.converters import JSONToDocument
from lodestone.components.errors import ConfigurationError


def convert(text: str, **parameters: object) -> list[tuple[str | None, dict[str, object]]]:
    stream = ByteStream(data=text.encode(), meta={"source": "a.json"})
    documents = JSONToDocument(**parameters).run([stream])["documents"]  # type: ignore[arg-type]
    return [(document.content, document.meta) for document in documents]


def test_every_line_is_a_document_with_its_row_and_its_other_fields() -> None:
    rows = [{"content": "first", "year": 1911, "tags": ["x"]}, {"text": "second", "ok": True}]
    assert convert("\n".join(map(json.dumps, rows)) + "\n\n") == [
        ("first", {"source": "a.json", "row": 1, "year": 1911, "tags": ["x"]}),
        ("second", {"source": "a.json", "row": 2, "ok": True}),
    ]


def test_fields_whose_names_passages_use_are_kept_under_another() -> None:
    found = convert('{"text": "t", "source": "agency", "page_number": "p3", "row": 9}')
    assert found == [
        ("t", {"source": "a.json", "row": 1, "record_source": "agency", "record_page_number": "p3", "record_row": 9})
    ]


def test_an_array_and_a_single_object_give_the_same_documents() -> None:
    row = {"body": "text"}
    assert convert(json.dumps([row])) == convert(json.dumps(row)) == [("text", {"source": "a.json", "row": 1})]


def test_a_record_without_text_becomes_its_fields() -> None:
    assert convert('{"name": "Ida", "born": 1880, "boats": ["A"]}')[0][0] == 'name: Ida\nborn: 1880\nboats: ["A"]'


def test_the_text_may_stand_in_a_field_of_ones_own() -> None:
    assert convert('{"content": "no", "abstract": "yes"}', content_keys=["abstract"])[0][0] == "yes"
    with pytest.raises(ConfigurationError, match="content_keys"):
        JSONToDocument(content_keys=[])


@pytest.mark.parametrize("text", ["{", "", '{"a": 1}\n{"b": }', "[" * 100_000])
def test_a_broken_file_is_skipped_with_a_warning(text: str, caplog: pytest.LogCaptureFixture) -> None:
    assert convert(text) == []
    assert "as JSON" in caplog.text


def test_the_line_that_is_broken_is_named(caplog: pytest.LogCaptureFixture) -> None:
    convert('{"a": 1}\n{"b": }')
    assert "line 2" in caplog.text


def test_a_missing_file_is_skipped_and_the_others_are_read(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text('"only text"')
    documents = JSONToDocument().run([tmp_path / "missing.json", tmp_path / "b.json"])["documents"]
    assert [document.content for document in documents] == ["only text"]
