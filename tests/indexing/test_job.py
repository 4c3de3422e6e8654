import os
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import docx
import pypdf
import pytest
import small_jobs

from lodestone import FaissDocumentStore
from lodestone.components.errors import ConfigurationError
from lodestone.indexing import IndexingJob, Report, Settings, Source
from lodestone.indexing.contents import LocalFile
from lodestone.indexing.tables import Columns
from lodestone.pipelines import load_pipeline
from lodestone.pipelines.stages import cut_at_embedder

CORPUS = Path(__file__).resolve().parents[2] / "examples" / "corpus"


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for name in ("travel/bad-weather.txt", "fleet/mv-kittiwake.md", "fleet/safety-manual.pdf"):
        shutil.copy(CORPUS / name, folder)
    return folder


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return tmp_path / "index"


def run(index: Path, *paths: Path, settings: Settings | None = None, **options: Any) -> Report:
    stages = cut_at_embedder(load_pipeline("indexing_faiss", index=index))
    report = IndexingJob(stages, settings=settings).run(paths, **options)
    stages.document_store.close()
    return report


def sources(index: Path) -> list[str]:
    with FaissDocumentStore(str(index)) as store:
        return [f"{record.root}/{record.path}" for record in store.sources() if record.state == "indexed"]


def content(index: Path) -> dict[str, tuple[str | None, dict[str, Any], list[float] | None]]:
    with FaissDocumentStore(str(index)) as store:
        return {doc.id: (doc.content, doc.meta, doc.embedding) for doc in store.filter_documents()}


def test_passages_are_parts_of_the_texts_that_the_store_keeps(docs: Path, index: Path) -> None:
    report = run(index, docs)
    assert (report.indexed, report.failed, report.complete) == (3, [], True)
    with FaissDocumentStore(str(index)) as store:
        passages = store.filter_documents()
        assert len(passages) == report.passages > 3
        for passage in passages:
            text = store.source_text(passage.meta["source_id"])
            start = passage.meta["split_idx_start"]
            assert text is not None
            assert text[start : start + len(passage.content or "")] == passage.content
        pages = {p.meta["page_number"] for p in passages if p.meta["source"] == "safety-manual.pdf"}
        assert pages == {1, 2, 3}
        assert {p.meta["root"] for p in passages} == {"docs"}


def test_a_second_run_reads_nothing_and_a_changed_file_is_replaced(docs: Path, index: Path) -> None:
    run(index, docs)
    before = content(index)
    again = run(index, docs)
    assert (again.indexed, again.unchanged, content(index) == before) == (0, 3, True)

    (docs / "bad-weather.txt").write_text("Nothing but fog is forecast.")
    changed = run(index, docs)
    assert (changed.indexed, changed.unchanged) == (1, 2)
    texts = [text for text, meta, _ in content(index).values() if meta["source"] == "bad-weather.txt"]
    assert texts == ["Nothing but fog is forecast."]


def test_a_touched_file_is_not_embedded_again_and_verify_finds_a_hidden_change(docs: Path, index: Path) -> None:
    run(index, docs)
    file = docs / "bad-weather.txt"
    os.utime(file, (1, 1))
    assert run(index, docs).indexed == 0

    status = file.stat()
    file.write_text(file.read_text().replace("y", "Y"))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert run(index, docs).indexed == 0
    assert run(index, docs, verify=True).indexed == 1


def test_files_that_are_gone_lose_their_passages_within_the_given_root_only(docs: Path, index: Path) -> None:
    other = docs.parent / "other"
    shutil.copytree(docs, other)
    (other / "bad-weather.txt").write_text("Nothing but fog is forecast.")
    run(index, docs, other)
    (docs / "bad-weather.txt").unlink()
    (other / "bad-weather.txt").unlink()
    assert run(index, docs).deleted == 1
    assert "docs/bad-weather.txt" not in sources(index)
    assert "other/bad-weather.txt" in sources(index)


def test_what_failed_and_is_gone_asks_for_nothing(tmp_path: Path) -> None:
    docs, index = tmp_path / "docs", tmp_path / "index"
    docs.mkdir()
    for name in ("a", "b"):
        (docs / f"{name}.txt").write_bytes(b"\xff\xfe\x00")
    (docs / "good.txt").write_text("good")
    assert len(small_jobs.index_texts(index, docs).failed) == 2
    for name in ("a", "b"):
        (docs / f"{name}.txt").unlink()
    report = small_jobs.index_texts(index, docs)
    assert (report.complete, report.warnings, report.deleted) == (True, [], 0)
    with FaissDocumentStore(str(index)) as store:
        assert [record.path for record in store.sources()] == ["good.txt"]


@pytest.mark.parametrize("before", ["no JSON", '{"text": "row"}\n'], ids=["failed", "one file"])
def test_a_table_that_has_rows_now_asks_for_nothing(before: str, tmp_path: Path) -> None:
    table, index = tmp_path / "t.jsonl", tmp_path / "index"
    table.write_text(before)
    by_rows = Source(str(table), columns=Columns(("text",)))
    small_jobs.index_texts(index, by_rows if before == "no JSON" else table)
    table.write_text('{"text": "row"}\n')
    report = small_jobs.index_texts(index, by_rows)
    assert (report.complete, report.warnings) == (True, [])
    with FaissDocumentStore(str(index)) as store:
        assert [record.path for record in store.sources()] == ["t.jsonl/1"]


def test_a_time_that_fits_into_no_database_is_no_reason_to_read_a_file_again(tmp_path: Path) -> None:
    docs, index = tmp_path / "docs", tmp_path / "index"
    docs.mkdir()
    (docs / "a.txt").write_text("from the future")
    os.utime(docs / "a.txt", ns=(2**64, 2**64))
    assert small_jobs.index_texts(index, docs).indexed == 1
    assert small_jobs.index_texts(index, docs).unchanged == 1


@pytest.mark.parametrize("reads", [True, False])
def test_rows_of_a_table_that_is_one_file_now_are_not_missed_unless_it_fails(reads: bool, tmp_path: Path) -> None:
    docs, index = tmp_path / "docs", tmp_path / "index"
    docs.mkdir()
    (docs / "t.csv").write_text("text\none\ntwo\n")
    small_jobs.index_texts(index, Source(str(docs), columns=Columns(("text",))))
    if not reads:
        (docs / "t.csv").write_bytes(b"\xff\xfe\x00")
    report = small_jobs.index_texts(index, docs)
    with FaissDocumentStore(str(index)) as store:
        held = {record.path: record.state for record in store.sources()}
    if reads:
        assert (report.complete, report.warnings, held) == (True, [], {"t.csv": "indexed"})
    else:
        assert "2 of the 2 files" in report.warnings[0]
        assert held == {"t.csv": "failed", "t.csv/1": "indexed", "t.csv/2": "indexed"}


def test_more_than_half_gone_asks_for_prune(docs: Path, index: Path) -> None:
    run(index, docs)
    (docs / "bad-weather.txt").unlink()
    (docs / "mv-kittiwake.md").unlink()
    report = run(index, docs)
    assert (report.deleted, report.complete, len(sources(index))) == (0, False, 3)
    assert "--prune" in report.warnings[0]
    assert run(index, docs, prune=True).deleted == 2
    assert sources(index) == ["docs/safety-manual.pdf"]


@pytest.mark.parametrize("missing", [False, True])
def test_an_empty_or_missing_root_deletes_nothing(docs: Path, index: Path, missing: bool) -> None:
    run(index, docs)
    shutil.rmtree(docs)
    if not missing:
        docs.mkdir()
    with pytest.raises(ConfigurationError, match="does not exist" if missing else "holds no files"):
        run(index, docs)
    assert len(sources(index)) == 3


def test_a_file_of_its_own_deletes_nothing_else(docs: Path, index: Path) -> None:
    run(index, docs)
    (docs / "mv-kittiwake.md").unlink()
    assert run(index, docs / "bad-weather.txt").deleted == 0
    assert len(sources(index)) == 3


def test_equal_names_under_two_roots_stay_apart(docs: Path, index: Path) -> None:
    other = docs.parent / "other"
    other.mkdir()
    (docs / "fog.txt").write_text("Nothing but fog is forecast.")
    (other / "fog.txt").write_text("Fog is forecast, and nothing else.")
    run(index, docs, other)
    assert len(sources(index)) == 5
    texts = {meta["root"]: text for text, meta, _ in content(index).values() if meta["source"] == "fog.txt"}
    assert texts == {"docs": "Nothing but fog is forecast.", "other": "Fog is forecast, and nothing else."}


def test_bad_files_are_named_with_a_reason_and_the_rest_is_indexed(docs: Path, index: Path) -> None:
    reader = pypdf.PdfReader(docs / "safety-manual.pdf")
    writer = pypdf.PdfWriter(clone_from=reader)
    writer.encrypt("secret")
    writer.write(docs / "encrypted.pdf")
    blank = pypdf.PdfWriter()
    blank.add_blank_page(200, 200)
    blank.write(docs / "scanned.pdf")
    (docs / "empty.txt").write_text("")
    (docs / "broken.docx").write_bytes(b"PK not a zip")
    (docs / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    (docs / "picture.png").write_bytes(b"\x89PNG")

    report = run(index, docs)

    reasons = {Path(outcome.path).name: outcome.reason for outcome in report.failed}
    assert reasons.keys() == {"encrypted.pdf", "scanned.pdf", "empty.txt", "broken.docx", "broken.pdf"}
    assert "encrypted" in reasons["encrypted.pdf"]
    assert "OCR" in reasons["scanned.pdf"]
    assert "empty" in reasons["empty.txt"]
    assert [Path(outcome.path).name for outcome in report.skipped] == ["picture.png"]
    assert report.complete is False
    assert len(sources(index)) == 3
    assert len(run(index, docs).failed) == 5


def test_a_file_that_breaks_loses_its_old_passages_and_one_that_cannot_be_read_keeps_them(
    docs: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(index, docs)
    (docs / "safety-manual.pdf").write_bytes(b"%PDF-1.4 nothing")
    report = run(index, docs)
    assert len(report.failed) == 1
    assert sources(index) == ["docs/bad-weather.txt", "docs/mv-kittiwake.md"]

    def refuse(self: LocalFile, most: int) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(LocalFile, "read", refuse)
    os.utime(docs / "bad-weather.txt", (1, 1))
    report = run(index, docs, settings=Settings(workers=0))
    assert any("Permission denied (what was indexed of it stays)" in outcome.reason for outcome in report.failed)
    assert "docs/bad-weather.txt" in sources(index)


def test_text_in_another_encoding_is_read_right(docs: Path, index: Path) -> None:
    text = "Der Fährmann heißt Jürgen Müßig und wohnt in Süderlügum, wo er täglich grüßt und Käse ißt. " * 4
    (docs / "latin.txt").write_bytes(text.encode("cp1252"))
    (docs / "wide.txt").write_bytes(("\ufeff" + text).encode("utf-16-le"))
    run(index, docs)
    found = {
        meta["source"]: passage for passage, meta, _ in content(index).values() if meta["source"].endswith("e.txt")
    }
    assert "Jürgen Müßig" in str(found["wide.txt"])
    latin = [passage for passage, meta, _ in content(index).values() if meta["source"] == "latin.txt"]
    assert "heißt Jürgen" in str(latin[0])


def test_an_index_of_another_embedding_model_is_refused(docs: Path, index: Path) -> None:
    run(index, docs)
    with FaissDocumentStore(str(index)) as store:
        store.set_setting("embedding_model", '{"model": "other/model", "fingerprint": "0"}')
    with pytest.raises(ConfigurationError, match=r"made with the embedding model other/model, .*all-MiniLM-L6-v2"):
        run(index, docs)


def test_a_changed_pipeline_indexes_again(docs: Path, index: Path, tmp_path: Path) -> None:
    run(index, docs)
    definition = (CORPUS.parents[1] / "pipelines" / "indexing_faiss.yaml").read_text()
    splitter = "type: lodestone.components.splitters.passage_splitter.PassageSplitter"
    changed = tmp_path / "mine.yaml"
    changed.write_text(definition.replace(splitter, f"{splitter}\n    init_parameters: {{max_tokens: 64}}"))
    stages = cut_at_embedder(load_pipeline(changed, index=index))
    report = IndexingJob(stages).run([docs])
    stages.document_store.close()
    assert (report.indexed, report.unchanged) == (3, 0)
    assert len(content(index)) == report.passages


def test_two_runs_over_the_same_files_give_the_same_index(docs: Path, tmp_path: Path) -> None:
    # A docx without properties of its own: python-docx would make some up, with the time of reading.
    bare = docx.Document(str(CORPUS / "staff" / "handbook-leave.docx"))
    bare.save(str(docs / "whole.docx"))
    with zipfile.ZipFile(docs / "whole.docx") as whole, zipfile.ZipFile(docs / "bare.docx", "w") as stripped:
        for name in whole.namelist():
            if name == "docProps/core.xml":
                continue
            data = whole.read(name)
            if name in ("_rels/.rels", "[Content_Types].xml"):
                data = re.sub(rb"<[^<>]*core[^<>]*properties[^<>]*/>", b"", data)
            stripped.writestr(name, data)
    run(tmp_path / "one", docs)
    run(tmp_path / "two", docs)
    assert content(tmp_path / "one") == content(tmp_path / "two")
