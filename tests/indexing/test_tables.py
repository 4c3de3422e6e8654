import datetime
import json
from dataclasses import replace
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet
from small_jobs import index_texts, metas, texts

from lodestone.indexing import Source
from lodestone.indexing.patterns import Patterns
from lodestone.indexing.tables import Columns, TableError, rows

COLUMNS = Columns(content=("question", "answer"), meta=("team",), id="key")
RECORDS = [
    {"key": "a", "question": "What?", "answer": 'That, "this"\nand more', "team": "x", "other": "no"},
    {"key": "b", "question": "Who?", "answer": "Me", "team": "y", "other": "no"},
]


def write(file: Path, records: list[dict[str, str]]) -> Source:
    if file.suffix == ".jsonl":
        file.write_text("\n".join(map(json.dumps, records)))
    elif file.suffix == ".parquet":
        parquet.write_table(pyarrow.Table.from_pylist(records), file)
    else:
        import csv

        with file.open("w", newline="") as lines:
            delimiter = {".csv": ";", ".tsv": "\t"}[file.suffix]
            writer = csv.DictWriter(lines, list(records[0]), delimiter=delimiter)
            writer.writeheader()
            writer.writerows(records)
    return Source(str(file.parent), columns=COLUMNS)


@pytest.mark.parametrize("name", ["faq.jsonl", "faq.csv", "faq.tsv", "faq.parquet"])
def test_rows_are_documents_that_come_and_go_and_change_by_themselves(tmp_path: Path, name: str) -> None:
    file, index = tmp_path / "docs" / name, tmp_path / "index"
    file.parent.mkdir()
    source = write(file, RECORDS)
    report = index_texts(index, source)
    assert (report.files, report.indexed, report.complete) == (2, 2, True)
    assert texts(index) == {f"docs/{name}/a": 'What?\n\nThat, "this"\nand more', f"docs/{name}/b": "Who?\n\nMe"}
    assert metas(index)[f"{name}/a"]["team"] == "x"
    assert "other" not in metas(index)[f"{name}/a"]

    write(file, [*RECORDS, {"key": "c", "question": "Why?", "answer": "So", "team": "x", "other": "yes"}])
    assert (added := index_texts(index, source)).unchanged == 2
    assert added.indexed == 1
    write(file, [RECORDS[0], {**RECORDS[1], "team": "z"}])
    changed = index_texts(index, source)
    assert (changed.indexed, changed.unchanged, changed.deleted) == (1, 1, 1)
    assert metas(index)[f"{name}/b"]["team"] == "z"


def test_rows_that_are_gone_go_also_where_patterns_name_the_tables(tmp_path: Path) -> None:
    file, index = tmp_path / "docs" / "faq.jsonl", tmp_path / "index"
    file.parent.mkdir()
    source = replace(write(file, RECORDS), patterns=Patterns(("*.jsonl",)))
    index_texts(index, source)
    write(file, RECORDS[:1])
    assert index_texts(index, source).deleted == 1
    assert list(texts(index)) == ["docs/faq.jsonl/a"]


def test_a_table_that_cannot_be_read_is_named_and_its_rows_stay(tmp_path: Path) -> None:
    file, index = tmp_path / "docs" / "faq.jsonl", tmp_path / "index"
    file.parent.mkdir()
    source = write(file, RECORDS)
    index_texts(index, source)
    file.write_text("{nope")
    report = index_texts(index, source)
    assert [outcome.reason for outcome in report.failed] == [
        "line 1 is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"
    ]
    assert len(texts(index)) == 2


def test_two_rows_of_one_id_are_not_mixed_up(tmp_path: Path) -> None:
    file = tmp_path / "docs" / "faq.jsonl"
    file.parent.mkdir()
    source = write(file, [RECORDS[0], {**RECORDS[1], "key": "a"}])
    report = index_texts(tmp_path / "index", source)
    assert (report.indexed, len(report.skipped)) == (1, 1)
    assert "same id" in report.skipped[0].reason


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("title,body\nx,y\n")
    with pytest.raises(TableError, match="there is no column 'text'; it has title, body"):
        list(rows(str(tmp_path / "a.csv"), Columns(("text",))))


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
@pytest.mark.parametrize(
    "columns", [Columns(("title", "bdy")), Columns(("title",), ("bdy",)), Columns(("title",), (), "bdy")]
)
def test_every_column_that_is_named_must_be_there(tmp_path: Path, name: str, columns: Columns) -> None:
    (tmp_path / name).write_text("title,body\nx,y\n".replace(",", "\t" if name == "a.tsv" else ","))
    with pytest.raises(TableError, match="there is no column 'bdy'; it has title, body"):
        list(rows(str(tmp_path / name), columns))


def test_in_json_lines_a_row_may_lack_a_column_and_not_all_rows(tmp_path: Path) -> None:
    file = tmp_path / "docs" / "faq.jsonl"
    file.parent.mkdir()
    file.write_text('{"question": "What?"}\n{"question": "Who?", "answer": "Me"}\n')
    assert [row.text for row in rows(str(file), Columns(("question", "answer")))] == ["What?", "Who?\n\nMe"]

    report = index_texts(tmp_path / "index", Source(str(file), columns=Columns(("question", "anwser"))))
    assert (report.indexed, report.complete) == (2, False)
    assert [outcome.reason for outcome in report.failed] == ["no row has the column 'anwser'; the first has question"]


def test_a_table_without_rows_or_without_anything_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("title,body\n")
    (tmp_path / "b.csv").write_text("")
    (tmp_path / "c.jsonl").write_text("\n")
    for name in ("a.csv", "b.csv", "c.jsonl"):
        assert list(rows(str(tmp_path / name), Columns(("title",)))) == []


def test_without_an_id_a_row_is_its_number(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n\n{"text": {"in": 1}}\n')
    assert [(row.name, row.text) for row in rows(str(tmp_path / "a.jsonl"), Columns(("text",)))] == [
        ("1", "x"),
        ("2", '{"in": 1}'),
    ]


def test_a_row_and_a_columns_name_are_shown_printable(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(r'{"id": "k\u001b", "text": "x"}' + "\n" + r'{"id": "k\u001b", "text": "y"}')
    (tmp_path / "b.jsonl").write_text(r'{"\ud800\u001b": "x"}')
    sources = [Source(str(tmp_path / name), columns=Columns(("text",), (), "id")) for name in ("a.jsonl", "b.jsonl")]
    report = index_texts(tmp_path / "index", *sources)
    assert report.skipped[0].path.endswith(r"a.jsonl/k\x1b")
    assert r"it has \ud800\x1b" in report.failed[0].reason


def test_halves_of_characters_in_an_id_or_metadata_do_not_end_the_job(tmp_path: Path) -> None:
    lines = [r'{"id": "k\ud800", "text": "x", "team": "\udc00"}', '{"id": "b", "text": "y"}']
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    source = Source(str(tmp_path / "a.jsonl"), columns=Columns(("text",), ("team",), "id"), root_name="root")
    assert index_texts(tmp_path / "index", source).complete
    assert texts(tmp_path / "index") == {"root/a.jsonl/k?": "x", "root/a.jsonl/b": "y"}
    assert metas(tmp_path / "index")["a.jsonl/k?"]["team"] == "?"


def test_values_of_any_type_in_parquet_become_text_and_plain_metadata(tmp_path: Path) -> None:
    day = datetime.date(2024, 5, 1)
    records = [{"text": ["a", "b"], "day": day, "score": 1.5, "none": None, "raw": b"x"}]
    parquet.write_table(pyarrow.Table.from_pylist(records), tmp_path / "a.parquet")
    (row,) = rows(str(tmp_path / "a.parquet"), Columns(("text",), ("day", "score", "none", "raw")))
    assert (row.text, row.meta) == ('["a", "b"]', {"day": "2024-05-01", "score": 1.5, "raw": "b'x'", "row": 1})


def test_parquet_that_is_damaged_or_has_not_the_columns_is_told(tmp_path: Path) -> None:
    parquet.write_table(pyarrow.Table.from_pylist([{"title": "x", "body": "y"}]), tmp_path / "a.parquet")
    with pytest.raises(TableError, match="there is no column 'text'; it has title, body"):
        list(rows(str(tmp_path / "a.parquet"), Columns(("text",))))
    (tmp_path / "b.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:50])
    with pytest.raises(TableError, match="cannot be read as a table"):
        list(rows(str(tmp_path / "b.parquet"), Columns(("title",))))


def test_a_row_with_a_very_long_id_fails_by_itself(tmp_path: Path) -> None:
    file, index = tmp_path / "docs" / "faq.jsonl", tmp_path / "index"
    file.parent.mkdir()
    source = write(file, [*RECORDS, {**RECORDS[0], "key": "x" * 40_000}, {**RECORDS[1], "key": "ü" * 500, "team": "z"}])
    for _ in range(2):
        report = index_texts(index, source)
        (failed,) = report.failed
        assert failed.path.endswith(f"/faq.jsonl/{'x' * 60}...")
        assert failed.reason == "its id has 40,000 bytes, 1,000 at most are possible"
    assert len(texts(index)) == 3
