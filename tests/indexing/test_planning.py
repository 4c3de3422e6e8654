"""What there is to do is found without holding what was found."""

import gc
import tracemalloc
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from lodestone.components.stores import SourceRecord
from lodestone.indexing.contents import LocalFile, Text, ZipMember
from lodestone.indexing.conversion import Conversion
from lodestone.indexing.job_tables import JobTables
from lodestone.indexing.planning import Plan
from lodestone.indexing.sources import Scope, SourceFile
from lodestone.indexing.tables import Columns

SCOPE = Scope("docs", "/docs", "", "docs")


def file(path: str, size: int = 1, mtime_ns: int = 1) -> SourceFile:
    return SourceFile("docs", path, LocalFile(f"/docs/{path}"), size, mtime_ns, f"docs/{path}")


def record(path: str, identity: str, root: str = "docs", **changes: object) -> SourceRecord:
    values: dict[str, object] = {"pipeline": "ours", "state": "indexed", "error": None, **changes}
    return SourceRecord(root, path, 1, 1, "hash", passages=1, indexed_at=0.0, seconds=0.0, identity=identity, **values)  # type: ignore[arg-type]


# Roots of another document of the same identity that has passages, by what is known of a document's identity.
OTHERS = {"unknown": None, "nobody else": None, "one before": "a", "one behind": "z"}
# Of what is ours, without errors, and of the same size and time: a document with passages unless there is one before,
# and a copy unless the one that it is a copy of is behind it.
CURRENT = 3 + 3


@pytest.mark.parametrize("verify", [False, True])
def test_what_is_current_is_the_same_for_all_at_once_as_for_each(verify: bool) -> None:
    plan = Plan(JobTables(), "ours", verify)
    files, records = [file("new")], []
    states, seen = ("indexed", "duplicate", "failed"), ((1, 1), (2, 1), (1, 2), (1, -1))
    cases = product(states, ("ours", "others"), (None, "it fails"), seen, OTHERS)
    for number, (state, pipeline, error, (size, mtime_ns), other) in enumerate(cases):
        path, identity = f"{number:04}", "" if other == "unknown" else f"identity {number}"
        files.append(file(path, size, mtime_ns))
        records.append(record(path, identity, pipeline=pipeline, state=state, error=error))
        if (root := OTHERS[other]) is not None:
            records.append(record(path, identity, root))
    plan.found.add(SCOPE, files)
    plan.learn(sorted(records, key=lambda each: (each.root, each.path)), {"docs"})
    assert plan.find_todo()[0] == len(list(plan.todo()))
    todo = [source.path for source in plan.todo()]
    assert todo == [source.path for source in files if not plan.is_current(source)]
    assert len(todo) == (len(files) if verify else len(files) - CURRENT)


def test_documents_come_back_as_they_were_found() -> None:
    plan = Plan(JobTables(), "ours")
    columns = Columns(("text",))
    scope = Scope("docs", "/docs", "", "docs", columns=columns)
    files = [
        file("z.txt"),
        SourceFile("docs", "a.zip/b.txt", ZipMember(Path("/docs/a.zip"), "b.txt"), 2, 3, "docs/a.zip/b.txt"),
        SourceFile("docs", "t.csv", LocalFile("/docs/t.csv"), 4, 5, "docs/t.csv", columns),
    ]
    assert plan.found.add(scope, iter(files)) == 3
    assert plan.find_todo() == (3, 7)
    assert list(plan.todo()) == files
    assert plan.found.count() == (3, 1)
    assert [plan.found.get((each.root, each.path)) for each in files] == files
    assert plan.found.get(("docs", "t.csv/1")) is None

    meta = {"row": 1, "team": "hr", "list": [1, None, "é\ud800"]}
    row = SourceFile("docs", "t.csv/1", Text("one"), 3, 5, "docs/t.csv/1", None, "text/plain", meta, "hash")
    for source in (row, files[1]):
        plan.later.add(source)
    assert list(plan.later) == [row, files[1]]
    assert len(plan.later) == 2


def test_what_two_sources_hold_is_found_once_as_the_last_has_it() -> None:
    plan = Plan(JobTables(), "ours")
    columns = Columns(("text",))
    rows = Scope("docs", "/docs", "", "docs", columns=columns)
    table = SourceFile("docs", "t.csv", LocalFile("/docs/t.csv"), 4, 5, "docs/t.csv", columns)
    plan.found.add(SCOPE, [file("t.csv", 4, 5), file("u.txt")])
    plan.found.add(rows, [table])
    assert plan.find_todo() == (2, 5)
    assert list(plan.todo()) == [table, file("u.txt")]


def test_the_memory_of_a_plan_does_not_grow_with_the_documents() -> None:
    peaks = [peak_of_a_plan(documents) for documents in (2_000, 2_000, 20_000)]
    assert peaks[2] < peaks[1] + 200_000, peaks


def peak_of_a_plan(documents: int) -> int:
    """Bytes that Python allocates at most while half of some documents are found to be new, and are settled."""

    def found() -> Iterator[SourceFile]:
        return (file(f"{number:08}.txt") for number in range(documents))

    def held() -> Iterator[SourceRecord]:
        return (record(f"{number:08}.txt", f"identity {number}") for number in range(0, documents, 2))

    gc.collect()
    tracemalloc.start()
    plan = Plan(JobTables(), "ours")
    scan = found()
    plan.found.add(SCOPE, scan)
    plan.learn(held(), {"docs"})
    plan.put_off(1)
    assert plan.find_todo()[0] == documents // 2
    for task in plan.tasks(plan.todo()):
        conversion = Conversion("converted", content_hash=task.key[1], identity=task.key[1])
        assert plan.duplicates.settle([(task, conversion)]) == [(task, conversion)]
        plan.count(task.key, 1)
    assert plan.duplicates.heirs() == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak
