"""`lodestone index --swap` never loses what nobody asked to lose."""

import json
import uuid
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from haystack import Document

from lodestone import ElasticsearchStore
from lodestone.components.errors import LodestoneError
from lodestone.indexing.job_record import JobRecord
from lodestone.indexing.job_records import JobRecords
from lodestone.indexing.swapping import serving_on

PIPELINE = """
components:
  converter: {type: haystack.components.converters.txt.TextFileToDocument}
  splitter: {type: haystack.components.preprocessors.document_splitter.DocumentSplitter}
  writer:
    type: haystack.components.writers.document_writer.DocumentWriter
    init_parameters:
      document_store:
        type: lodestone.components.stores.elasticsearch.elasticsearch_store.ElasticsearchStore
        init_parameters: {replicas: 0, max_retries: 1}
connections:
  - {sender: converter.documents, receiver: splitter.documents}
  - {sender: splitter.documents, receiver: writer.documents}
"""
ROUTED = PIPELINE.replace(
    "components:",
    """components:
  router:
    type: haystack.components.routers.file_type_router.FileTypeRouter
    init_parameters: {mime_types: [text/plain]}""",
).replace("connections:", "connections:\n  - {sender: router.text/plain, receiver: converter.sources}")


@dataclass
class Site:
    """A folder of six texts in two folders, indexed into a cluster."""

    folder: Path
    docs: Path
    store: ElasticsearchStore
    lodestone: Callable[..., Any]

    def index(self, *arguments: Any) -> Any:
        options = ("--pipeline", self.folder / "pipeline.yaml", "--index", self.store.index, "--workers", 0)
        return self.lodestone("index", *arguments, *options)

    def job(self, text: str) -> Path:
        file = self.folder / "job.yaml"
        file.write_text(text)
        return file

    def held(self) -> list[str]:
        return [f"{record.root}/{record.path}" for record in self.store.sources() if record.state != "failed"]

    def states(self) -> list[str]:
        return [one.state for one in self.store.generations()]


@pytest.fixture
def site(
    elasticsearch_url: str, lodestone: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Site]:
    monkeypatch.setenv("ELASTICSEARCH_URL", elasticsearch_url)
    docs = tmp_path / "docs"
    (docs / "staff").mkdir(parents=True)
    for path in ("a.txt", "b.txt", "c.txt", "d.txt", "staff/e.txt", "staff/f.txt"):
        (docs / path).write_text(f"The lighthouse has {path}.\n")
    (tmp_path / "pipeline.yaml").write_text(PIPELINE)
    store = ElasticsearchStore(index=f"test-swap-{uuid.uuid4().hex[:8]}")
    site = Site(tmp_path, docs, store, lodestone)
    assert site.index(docs).code == 0
    yield site
    found = store.client.indices.get(index=f"{store.index}*", allow_no_indices=True).body
    store.client.indices.delete(index=sorted(found))
    store.close()


ALL = ["docs/a.txt", "docs/b.txt", "docs/c.txt", "docs/d.txt", "docs/staff/e.txt", "docs/staff/f.txt"]


def test_a_part_of_what_was_indexed_does_not_replace_all_of_it(site: Site) -> None:
    outcome = site.index(site.docs / "staff", "--swap")
    assert (outcome.code, "would lack 4 files" in outcome.err) == (2, True)
    assert "docs/a.txt, docs/b.txt, docs/c.txt, ..." in outcome.err
    job = site.job("sources: [docs]\nexclude: [a.txt, b.txt]\n")
    outcome = site.index("--job", job, "--swap")
    assert (outcome.code, "would lack 2 files" in outcome.err) == (2, True)
    assert (site.held(), site.states()) == (ALL, ["serving"])
    assert site.index(site.docs, "--swap").code == 0
    assert (site.held(), site.states()) == (ALL, ["old", "serving"])


def test_roots_keep_their_names(site: Site) -> None:
    (site.folder / "other").mkdir()
    (site.folder / "other" / "g.txt").write_text("Another folder.\n")
    assert site.index(site.folder / "other", "--root-name", "more").code == 0
    assert site.index(site.docs, site.folder / "other", "--swap").code == 0
    assert site.held() == [*ALL, "more/g.txt"]
    assert site.index(site.docs / "*", site.folder / "other", "--swap").code == 2  # what is in staff is not named
    assert site.index(site.docs / "**/*.txt", site.folder / "other", "--swap").code == 0
    assert site.held() == [*ALL, "more/g.txt"]


def test_most_of_a_source_must_be_meant_to_go(site: Site) -> None:
    for name in ("a.txt", "b.txt", "c.txt", "d.txt"):
        (site.docs / name).unlink()
    outcome = site.index(site.docs, "--swap")
    assert (outcome.code, "4 of the 6 files" in outcome.out, "--prune" in outcome.out) == (1, True, True)
    assert "serves on as it was" in outcome.out
    assert (site.held(), site.states()) == (ALL, ["serving", "building"])
    assert site.index(site.docs, "--swap", "--prune").code == 0
    assert (site.held(), site.states()) == (ALL[4:], ["old", "serving"])


def test_what_the_new_pipeline_skips_is_not_lost(site: Site) -> None:
    (site.docs / "b.txt").rename(site.docs / "b.unknown")
    site.index(site.docs)
    assert "docs/b.unknown" in (before := site.held())
    (site.folder / "pipeline.yaml").write_text(ROUTED)
    outcome = site.index(site.docs, "--swap")
    assert (outcome.code, "lacks 1 files that the old one holds and that are not gone" in outcome.out) == (1, True)
    assert "docs/b.unknown" in outcome.out
    assert (site.held(), site.states()) == (before, ["serving", "building"])


def test_passages_that_no_file_has_are_not_lost(site: Site) -> None:
    site.store.write_documents([Document(content="Written by another."), Document(content="And this.")])
    outcome = site.index(site.docs, "--swap")
    assert (outcome.code, "would lack 2 passages" in outcome.err) == (2, True)
    assert (site.store.count_documents(), site.states()) == (8, ["serving"])
    site.store.delete_by_filter({"field": "meta.root", "operator": "==", "value": None})
    assert site.index(site.docs, "--swap").code == 0


def test_passages_of_a_file_that_a_killed_job_has_left_are_no_others(site: Site) -> None:
    site.store.delete_sources([("docs", "a.txt")])
    left = Document(content="Of a job that was killed.", meta={"root": "docs", "source": "a.txt"})
    site.store.write_documents([left])
    assert list(site.store.unlisted()) == [("docs", "a.txt", 1)]
    assert site.index(site.docs, "--swap").code == 0
    assert (site.held(), site.store.count_documents()) == (ALL, 6)


def test_rows_and_tables_stand_for_each_other(site: Site) -> None:
    lines = [json.dumps({"key": name, "text": f"Row {name}."}) for name in "xyz"]
    (site.docs / "t.jsonl").write_text("\n".join(lines))
    rows = site.job("sources:\n  - path: docs\n    rows: {content: text, id: key}\n")
    assert site.index("--job", rows).code == 0
    assert len(site.held()) == 9
    assert site.index("--job", rows, "--swap").code == 0
    assert len(site.held()) == 9
    # A table that cannot be read has lost nothing.
    (site.docs / "t.jsonl").write_text("{")
    outcome = site.index("--job", rows, "--swap")
    assert (outcome.code, "lacks 3 files that the old one holds" in outcome.out) == (1, True)
    assert len(site.held()) == 9
    # One that has fewer rows has.
    (site.docs / "t.jsonl").write_text("\n".join(lines[:2]))
    assert site.index("--job", rows, "--swap").code == 0
    assert len(site.held()) == 8


def test_a_row_with_a_very_long_id_and_a_long_name_in_an_archive_cost_only_themselves(site: Site) -> None:
    lines = [json.dumps({"key": name, "text": f"Row {name}."}) for name in ("x", "y" * 40_000)]
    (site.docs / "t.jsonl").write_text("\n".join(lines))
    with zipfile.ZipFile(site.docs / "z.zip", "w") as archive:
        archive.writestr("short.txt", "A short name.")
        archive.writestr(f"{'z' * 40_000}.txt", "A long name.")
    job = site.job("sources:\n  - path: docs\n    rows: {content: text, id: key}\n")
    outcome = site.index("--job", job, "--json")
    report = json.loads(outcome.out.splitlines()[-1])
    assert (outcome.code, [each["reason"] for each in report["failed"]]) == (
        1,
        ["its id has 40,000 bytes, 1,000 at most are possible"],
    )
    assert [each["reason"] for each in report["skipped"]] == ["its name has more than 1,000 bytes"]
    assert site.held() == [*ALL, "docs/t.jsonl/x", "docs/z.zip/short.txt"]


def test_nobody_writes_to_an_index_while_another_is_built_in_its_place(site: Site) -> None:
    records = JobRecords(site.store)
    running = JobRecord("zzz", "lodestone index docs --swap", "", swap=True)
    records.save(running)
    options = ("--pipeline", site.folder / "pipeline.yaml", "--index", site.store.index)
    for outcome in (
        site.index(site.docs),
        site.index(site.docs, "--swap"),
        site.lodestone("delete", site.docs / "a.txt", *options),
    ):
        assert (outcome.code, "job zzz (process " in outcome.err) == (2, True)
        assert "is building a new index" in outcome.err
    records.save(replace(running, swap=False))
    outcome = site.index(site.docs, "--swap")
    assert (outcome.code, "the new index would lack what it writes" in outcome.err) == (2, True)
    assert site.held() == ALL
    records.save(replace(running, state="stopped"))
    assert site.index(site.docs, "--swap").code == 0


def test_a_swap_is_told_that_another_one_was_quicker(site: Site) -> None:
    def late() -> None:
        with serving_on(site.store):
            assert site.index(site.docs, "--swap").code == 0
            site.store.swap(1)

    with pytest.raises(LodestoneError, match=r"serves behind .* now, and not .*-000001 any more"):
        late()
    with pytest.raises(LodestoneError, match="serves on as it was"), serving_on(site.store):
        site.store.swap(1)


def test_an_archive_that_cannot_be_opened_has_lost_nothing_and_a_folder_may_move(site: Site) -> None:
    with zipfile.ZipFile(site.docs / "z.zip", "w") as archive:
        archive.writestr("g.txt", "In an archive.")
    assert site.index(site.docs).code == 0
    content = (site.docs / "z.zip").read_bytes()
    (site.docs / "z.zip").write_bytes(content[:40])
    outcome = site.index(site.docs, "--swap")
    assert (outcome.code, "not gone: they were skipped, could not be read" in outcome.out) == (1, True)
    assert site.held() == [*ALL, "docs/z.zip/g.txt"]
    (site.docs / "z.zip").write_bytes(content)
    moved = site.docs.rename(site.folder / "moved")
    assert site.index(moved, "--root-name", "docs", "--swap").code == 0
    assert (site.held(), site.store.roots()) == ([*ALL, "docs/z.zip/g.txt"], {"docs": str(moved)})
