"""Documents that exist more than once: the first path has the passages, the others are its copies."""

import contextlib
import os
import random
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hostile_converter import HostileConverter
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from small_jobs import index_texts as index_with
from small_jobs import stages, texts

from lodestone import FaissDocumentStore
from lodestone.components.stores import SourceRecord
from lodestone.indexing import IndexingJob, MetadataRules, Report, Settings, Source
from lodestone.indexing.conversion import Task, convert
from lodestone.indexing.executors import Work
from lodestone.indexing.planning import Plan
from lodestone.indexing.removal import remove
from lodestone.indexing.report import Copy
from lodestone.indexing.sources import SourceFile
from lodestone.indexing.tables import Columns


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    return folder(tmp_path / "docs", b="one", a="one", c="two", d="one")


def index_texts(index: Path, *sources: str | Path | Source, **options: Any) -> Report:
    return index_with(index, *sources, converter=HostileConverter(), **options)


def folder(path: Path, **files: str) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (path / f"{name}.txt").write_text(text)
    return path


def states(index: Path) -> dict[str, str]:
    """The ledger without failures, by root and path."""
    with FaissDocumentStore(str(index)) as store:
        return {f"{record.root}/{record.path}": record.state for record in store.sources()}


def check(index: Path) -> None:
    """What must hold whatever happened: one owner, the first, of each identity, and passages of owners only."""
    with FaissDocumentStore(str(index)) as store:
        records = [record for record in store.sources() if record.identity]
        held = sorted((document.meta["root"], document.meta["source"]) for document in store.filter_documents())
        groups: dict[str, list[SourceRecord]] = {}
        for record in records:
            groups.setdefault(record.identity, []).append(record)
        for group in groups.values():
            assert [record.state for record in group] == ["indexed"] + ["duplicate"] * (len(group) - 1)
            named = [(record.root, record.path) for record in group]
            assert [store.copies(*key) for key in named] == [[k for k in named if k != key] for key in named]
        assert held == [(record.root, record.path) for record in records if record.state == "indexed"]
        assert all(record.passages == (record.state == "indexed") for record in records)


def test_what_several_files_hold_is_indexed_once_under_the_first_path(docs: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    report = index_texts(index, docs)
    assert texts(index) == {"docs/a.txt": "one", "docs/c.txt": "two"}
    assert (report.files, report.indexed, report.passages, report.unchanged) == (4, 2, 2, 0)
    first = str(docs / "a.txt")
    assert report.duplicates == [Copy(str(docs / name), first) for name in ("b.txt", "d.txt")]
    check(index)

    again = index_texts(index, docs)
    assert (again.indexed, again.unchanged, again.duplicates) == (0, 4, [])


def test_a_copy_that_comes_later_and_stands_first_takes_over(docs: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    index_texts(index, docs)
    folder(docs, A="one")
    report = index_texts(index, docs)
    assert (report.indexed, report.unchanged, report.duplicates) == (1, 4, [])
    assert texts(index) == {"docs/A.txt": "one", "docs/c.txt": "two"}
    check(index)


@pytest.mark.parametrize("change", ["gone", "changed", "failed"])
def test_the_next_copy_takes_over_before_the_old_passages_go(
    docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    index = tmp_path / "index"
    index_texts(index, docs)
    if change == "gone":
        (docs / "a.txt").unlink()
    else:
        (docs / "a.txt").write_text("three" if change == "changed" else "nothing")
    seen: list[set[str]] = []

    def watched(name: str) -> None:
        method = getattr(FaissDocumentStore, name)

        def call(store: FaissDocumentStore, *arguments: Any) -> Any:
            result = method(store, *arguments)
            seen.append({str(document.content) for document in store.filter_documents()})
            return result

        monkeypatch.setattr(FaissDocumentStore, name, call)

    watched("write_sources")
    watched("delete_sources")
    report = index_texts(index, docs)
    assert all({"one", "two"} <= held for held in seen)
    expected = {"docs/b.txt": "one", "docs/c.txt": "two"}
    assert texts(index) == (expected | {"docs/a.txt": "three"} if change == "changed" else expected)
    counts = {"gone": (1, 2, 0), "changed": (2, 2, 0), "failed": (1, 2, 1)}
    assert (report.indexed, report.unchanged, len(report.failed)) == counts[change]
    check(index)


def test_a_moved_folder_is_converted_once(docs: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    index_texts(index, docs)
    folder(docs / "z", a="one", c="two", e="three")
    for name in "abcd":
        (docs / f"{name}.txt").unlink()
    report = index_texts(index, docs, prune=True)
    assert (report.indexed, report.deleted, report.files) == (3, 4, 3)
    check(index)


def test_copies_with_other_types_or_metadata_are_other_documents(tmp_path: Path) -> None:
    index = tmp_path / "index"
    docs = folder(tmp_path / "docs")
    for name in ("hr/leave.md", "hr/copy.md", "it/leave.md", "hr/leave.txt"):
        (docs / name).parent.mkdir(exist_ok=True)
        (docs / name).write_text("Leave is granted.")
    index_texts(index, docs, metadata=MetadataRules(path="{team}/**"))
    assert states(index) == {
        "docs/hr/copy.md": "indexed",
        "docs/hr/leave.md": "duplicate",
        "docs/hr/leave.txt": "indexed",
        "docs/it/leave.md": "indexed",
    }


def test_rows_and_members_of_archives_are_copies_too(tmp_path: Path) -> None:
    index = tmp_path / "index"
    docs = folder(tmp_path / "docs", same="one")
    (docs / "t.csv").write_text("id,text,team\nk,one,hr\nl,one,it\nm,one,hr\n")
    with zipfile.ZipFile(docs / "a.zip", "w") as archive:
        archive.writestr("x.txt", "one")
    source = Source(str(docs), columns=Columns(("text",), ("team",), "id"))
    report = index_texts(index, source)
    assert {name: state for name, state in states(index).items() if state == "indexed"} == dict.fromkeys(
        ("docs/a.zip/x.txt", "docs/t.csv/k", "docs/t.csv/l"), "indexed"
    )
    copies = {Path(copy.path).name: Path(copy.copy_of).name for copy in report.duplicates}
    assert copies == {"same.txt": "x.txt", "m": "k"}
    assert index_texts(index, source).unchanged == 5

    (docs / "t.csv").write_text("id,text,team\nk,two,hr\nl,one,it\nm,one,hr\n")
    assert index_texts(index, source).indexed == 2
    assert texts(index)["docs/t.csv/m"] == "one"
    (docs / "t.csv").write_text("id,text,team\nk,two,hr\nn,one,hr\n")
    (docs / "a.zip").unlink()
    index_texts(index, source, prune=True)
    assert texts(index) == {"docs/same.txt": "one", "docs/t.csv/k": "two", "docs/t.csv/n": "one"}
    check(index)


def test_copies_are_known_across_roots_and_one_elsewhere_takes_over(docs: Path, tmp_path: Path) -> None:
    index, other = tmp_path / "index", folder(tmp_path / "other", x="two", y="five")
    with zipfile.ZipFile(other / "z.zip", "w") as archive:
        archive.writestr("five.txt", "five")
    index_texts(index, other)
    report = index_texts(index, docs)
    assert states(index)["other/x.txt"] == "duplicate"
    assert (report.indexed, report.duplicates[0].copy_of) == (2, str(docs / "a.txt"))
    (docs / "c.txt").unlink()
    report = index_texts(index, docs)
    assert texts(index)["other/x.txt"] == "two"
    assert (report.complete, report.indexed, report.files) == (True, 1, 3)

    folder(docs, e="five")
    index_texts(index, docs)
    (docs / "e.txt").unlink()
    (other / "y.txt").unlink()
    index_texts(index, docs)
    assert texts(index)["other/z.zip/five.txt"] == "five"
    index_texts(index, other)
    check(index)


def test_what_cannot_be_had_from_elsewhere_is_said_and_comes_with_its_root(docs: Path, tmp_path: Path) -> None:
    index, other = tmp_path / "index", folder(tmp_path / "other", x="two")
    index_texts(index, docs, other)
    (docs / "c.txt").unlink()
    other.rename(tmp_path / "away")
    report = index_texts(index, docs)
    assert not report.complete
    assert report.warnings == [
        "other/x.txt: the index lacks what is in there, as it was held for files that are gone or have changed; "
        "run `lodestone index` on other, too"
    ]
    (tmp_path / "away").rename(other)
    assert index_texts(index, other).indexed == 1
    check(index)


def test_a_deleted_owner_is_followed_by_the_next_run(docs: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    index_texts(index, docs)
    with FaissDocumentStore(str(index)) as store:
        removed = remove(store, [str(docs / "a.txt")])
        assert (removed.files, removed.passages, removed.copies) == (1, 1, ["docs/b.txt", "docs/d.txt"])
        assert remove(store, [str(docs / "d.txt")]).copies == []
    (docs / "a.txt").unlink()
    assert index_texts(index, docs).indexed == 1
    assert texts(index)["docs/b.txt"] == "one"
    check(index)


def test_a_touched_copy_stays_one_and_keeps_its_time(docs: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    index_texts(index, docs)
    with FaissDocumentStore(str(index)) as store:
        before = [(record.path, record.state, record.seconds, record.identity) for record in store.sources()]
    assert all(seconds > 0 for _, _, seconds, _ in before)
    for name in "abcd":
        os.utime(docs / f"{name}.txt", (1, 1))
    assert index_texts(index, docs).unchanged == 4
    assert index_texts(index, docs, verify=True).unchanged == 4
    with FaissDocumentStore(str(index)) as store:
        assert [(record.path, record.state, record.seconds, record.identity) for record in store.sources()] == before
        assert {record.mtime_ns for record in store.sources()} == {10**9}


def test_an_index_without_identities_finds_its_copies_when_files_are_read(docs: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    with FaissDocumentStore(str(index)) as store:
        for name in ("a", "b"):
            copied = folder(tmp_path / "docs", **{name: "one"})
            made = stages(index, HostileConverter())
            made.document_store = store
            IndexingJob(made, settings=Settings(workers=0)).run([copied / f"{name}.txt"])
            store.touch_sources([_without_identity(record) for record in store.sources()])
    (docs / "c.txt").unlink()
    (docs / "d.txt").unlink()
    assert index_texts(index, docs).unchanged == 2
    assert len(texts(index)) == 2
    assert index_texts(index, docs, verify=True).duplicates == [Copy(str(docs / "b.txt"), str(docs / "a.txt"))]
    assert len(texts(index)) == 1
    check(index)


def _without_identity(record: SourceRecord) -> SourceRecord:
    return replace(record, identity="")


def test_a_new_owner_that_the_store_refuses_leaves_the_old_one(
    docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "index"
    index_texts(index, docs)
    folder(docs, A="one")
    write = FaissDocumentStore.write_sources

    def refuse(store: FaissDocumentStore, sources: Any) -> dict[tuple[str, str], str]:
        doomed = [record for record, _, passages in sources if record.path == "A.txt" and passages]
        write(store, [entry for entry in sources if entry[0] not in doomed])
        write(store, [(_failed(record), [], []) for record in doomed])
        return {(record.root, record.path): "no" for record in doomed}

    monkeypatch.setattr(FaissDocumentStore, "write_sources", refuse)
    report = index_texts(index, docs)
    assert [outcome.reason for outcome in report.failed] == ["no"]
    assert texts(index) == {"docs/a.txt": "one", "docs/c.txt": "two"}
    check(index)


def _failed(record: SourceRecord) -> SourceRecord:
    return replace(record, state="failed", error="no", identity="", passages=0)


@pytest.mark.parametrize("batch", [1, 2, 1024])
def test_the_order_of_batches_makes_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    docs = folder(tmp_path / "docs", **{f"n{number}": f"text {number % 3}" for number in range(9)})
    index_texts(tmp_path / "one", docs)
    tasks = Plan.tasks
    monkeypatch.setattr(Plan, "tasks", lambda plan, sources: iter(list(tasks(plan, sources))[::-1]))
    report = index_texts(tmp_path / "two", docs, settings=Settings(workers=0, batch_files=batch))
    assert texts(tmp_path / "two") == texts(tmp_path / "one")
    assert (report.indexed, report.passages, len(report.duplicates)) == (3, 3, 6)
    check(tmp_path / "two")


class Shuffled:
    """An executor that settles all batches before it writes any, the last one first, as many machines might."""

    is_local = True

    def run(self, work: Work) -> None:
        batches = [
            work.writer.settle([(task, convert(task, work.stages.converting, work.rules))]) for task in work.tasks
        ]
        for batch in reversed(batches):
            work.writer.write(batch)

    def close(self) -> None:
        """Nothing was started."""


@pytest.mark.parametrize("seed", range(5))
def test_batches_may_be_written_in_another_order_than_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    docs = folder(tmp_path / "docs", **{f"n{number}": f"text {number % 3}" for number in range(9)})
    tasks = Plan.tasks

    def shuffled(plan: Plan, sources: list[SourceFile]) -> Iterator[Task]:
        found = list(tasks(plan, sources))
        random.Random(seed).shuffle(found)
        return iter(found)

    monkeypatch.setattr(Plan, "tasks", shuffled)
    counts = []
    for _ in range(2):
        made = stages(tmp_path / "index", HostileConverter())
        report = IndexingJob(made, executor=Shuffled()).run([docs], verify=True)
        made.document_store.close()
        check(tmp_path / "index")
        assert sorted(texts(tmp_path / "index")) == ["docs/n0.txt", "docs/n1.txt", "docs/n2.txt"]
        counts.append((report.indexed, report.passages, report.unchanged, len(report.duplicates)))
    assert counts == [(3, 3, 0, 6), (0, 0, 9, 0)]


# Every write waits for a disk.
MEMORY = Path("/dev/shm")
NAMES = st.sampled_from([f"{root}/{name}.txt" for root in ("r", "s") for name in "abc"])
# The last two cannot be converted, or cannot be stored.
CONTENTS = st.sampled_from(["one", "two", "nothing", "odd"])


class KilledError(Exception):
    """A job ends here."""


class Machine(RuleBasedStateMachine):
    """Files of two folders change between runs over either or both; the ledger is compared with what a model says."""

    def __init__(self) -> None:
        super().__init__()
        self.top = Path(tempfile.mkdtemp(prefix="lodestone-copies-", dir=MEMORY if MEMORY.is_dir() else None))
        self.index = self.top / "index"
        self.stale = {"r", "s"}
        self.clock = 1
        for root in ("r", "s"):
            self.write(f"{root}/kept.txt", f"kept in {root}")
            self.write(f"{root}/kept too.txt", f"kept in {root}, too")

    def teardown(self) -> None:
        shutil.rmtree(self.top)

    def write(self, name: str, text: str) -> None:
        (self.top / name).parent.mkdir(exist_ok=True)
        (self.top / name).write_text(text)
        # Two changes within a clock's tick have one time.
        self.clock += 1
        os.utime(self.top / name, (self.clock, self.clock))
        self.stale.add(name[0])

    @rule(name=NAMES, text=CONTENTS)
    def change(self, name: str, text: str) -> None:
        self.write(name, text)

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        (self.top / name).unlink(missing_ok=True)
        self.stale.add(name[0])

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        if self.index.exists():
            with FaissDocumentStore(str(self.index)) as store:
                remove(store, [name])
            self.stale |= {"r", "s"}

    @rule(roots=st.sampled_from(["r", "s", "rs"]), verify=st.booleans(), batch=st.sampled_from([1, 2, 1024]))
    def run(self, roots: str, verify: bool, batch: int) -> None:
        settings = Settings(workers=0, batch_files=batch)
        folders = [self.top / root for root in roots]
        index_texts(self.index, *folders, settings=settings, verify=verify, prune=True)
        self.stale -= set(roots)
        held = texts(self.index)
        for root in roots:
            for file in (self.top / root).iterdir():
                # Whoever owns it: what is in the folder is in the index.
                assert file.read_text() in {*held.values(), "nothing", "odd"}

    @rule(roots=st.sampled_from(["r", "rs"]), writes=st.integers(0, 4), done=st.booleans())
    def kill(self, roots: str, writes: int, done: bool) -> None:
        """A run that ends at one of its writes, before or after it has been done."""
        left = [writes]

        def dying(method: Any) -> Any:
            def call(store: FaissDocumentStore, *arguments: Any) -> Any:
                left[0] -= 1
                if left[0] < 0 and not done:
                    raise KilledError
                result = method(store, *arguments)
                if left[0] < 0:
                    raise KilledError
                return result

            return call

        with pytest.MonkeyPatch.context() as patched, contextlib.suppress(KilledError):
            for name in ("write_sources", "touch_sources", "delete_sources"):
                patched.setattr(FaissDocumentStore, name, dying(getattr(FaissDocumentStore, name)))
            folders = [self.top / root for root in roots]
            index_texts(self.index, *folders, settings=Settings(workers=0, batch_files=1), prune=True)
        FaissDocumentStore(str(self.index)).close()
        self.stale |= {"r", "s"}

    @invariant()
    def is_the_one_index(self) -> None:
        if self.stale or not self.index.exists():
            return
        owners: dict[str, str] = {}
        for file in sorted(self.top.glob("[rs]/*")):
            owners.setdefault(file.read_text(), file.relative_to(self.top).as_posix())
        for failing in ("nothing", "odd"):
            owners.pop(failing, None)
        assert texts(self.index) == {name: text for text, name in owners.items()}
        check(self.index)


def test_whatever_happens_each_content_is_indexed_once_under_its_first_path() -> None:
    checked = settings(max_examples=20, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Machine, settings=checked)  # type: ignore[no-untyped-call]
