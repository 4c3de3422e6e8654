"""What a job knows of its documents is on the disk, while the job runs."""

import os
import threading
from pathlib import Path

import pytest

from lodestone.components.errors import LodestoneError
from lodestone.indexing.job_tables import JobTables
from lodestone.indexing.key_set import KeySet


def temporary_files() -> list[int]:
    """Sizes of the open files that have no name any more and are SQLite's."""
    sizes = []
    for name in os.listdir("/proc/self/fd"):
        file = f"/proc/self/fd/{name}"
        if os.path.islink(file) and "etilqs_" in os.readlink(file):
            sizes.append(os.stat(file).st_size)
    return sizes


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="open files are listed on Linux only")
def test_what_is_much_is_in_a_file_without_a_name_and_gone_when_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("SQLITE_TMPDIR", raising=False)
    tables = JobTables()
    KeySet(tables, "few").update([("docs", "a.txt")])
    assert temporary_files() == []
    many = KeySet(tables, "many")
    many.update(("docs", f"{number:0200}") for number in range(100_000))
    assert sum(temporary_files()) > 10 * 2**20
    assert list(tmp_path.iterdir()) == []
    assert (len(many), ("docs", f"{99_999:0200}") in many) == (100_000, True)
    tables.close()
    assert temporary_files() == []


def test_a_full_disk_is_said_in_words_with_what_to_do() -> None:
    tables = JobTables()
    tables.run("PRAGMA max_page_count = 100")
    with pytest.raises(LodestoneError, match=r"temporary file could not be written .*full.*TMPDIR.*same command again"):
        KeySet(tables, "many").update(("docs", f"{number:0200}") for number in range(10_000))


def test_threads_take_turns() -> None:
    tables = JobTables()
    keys = KeySet(tables, "keys")
    new: list[bool] = []

    def add() -> None:
        for number in range(300):
            new.append(keys.add(("docs", str(number))))
            keys.discard(("docs", "none"))
            assert ("docs", str(number)) in keys

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(keys), sum(new), len(new)) == (300, 300, 1200)


def test_keys_come_in_order_and_in_parts_and_tell_what_lies_in_them() -> None:
    keys = KeySet(JobTables(), "keys")
    keys.update([("b", "x"), ("a", "t.csv/2"), ("a", "é"), ("a", "t.csv/10"), ("a", "t.csv/2")])
    assert list(keys.parts(3)) == [[("a", "t.csv/10"), ("a", "t.csv/2"), ("a", "é")], [("b", "x")]]
    below = [key for key in [("a", "t.csv"), ("a", "t"), ("b", "t.csv"), ("b", "x")] if keys.has_below(key)]
    assert below == [("a", "t.csv")]
