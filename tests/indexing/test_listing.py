"""Folders are listed in the order of names, however much is in them."""

import os
from pathlib import Path

import pytest

from lodestone.indexing.limits import Limits
from lodestone.indexing.listing import Listing
from lodestone.indexing.scanning import Scanner
from lodestone.indexing.sources import Source, find_scopes

NAMES = ["b.txt", "a.txt", "É.txt", "z", ".hidden", "sub", "Sub too", "link"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    docs = tmp_path / "docs"
    for name in NAMES:
        if name.lower().startswith("sub"):
            (docs / name).mkdir(parents=True)
            (docs / name / "inner.txt").write_text("x")
    for name in NAMES:
        if name == "link":
            (docs / name).symlink_to(docs / "sub")
        elif not name.lower().startswith("sub"):
            (docs / name).write_text("x")
    Path(os.fsdecode(os.fsencode(docs) + b"/bad\xff.txt")).write_text("x")
    return docs


@pytest.mark.parametrize("few", [1, 3, 8, 9, 100])
def test_what_is_sorted_on_the_disk_comes_as_what_is_sorted_in_memory(
    folder: Path, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr("lodestone.indexing.listing._FEW", few)
    with Listing(str(folder)) as listing:
        assert [entry.name for entry in listing.folders()] == ["Sub too", "sub"]
        others = {entry.name: entry.is_link for entry in listing.others()}
    assert list(others) == ["a.txt", "b.txt", "bad\udcff.txt", "link", "z", "É.txt"]
    assert [name for name, is_link in others.items() if is_link] == ["link"]

    (scope,) = find_scopes([Source(str(folder))], {})
    found = Scanner(Limits(), Path).scan(scope)
    paths = [file.path for file in found.files]
    assert paths == ["a.txt", "b.txt", "z", "É.txt", "Sub too/inner.txt", "sub/inner.txt"]
    assert [outcome.path for outcome in found.unreadable] == [rf"{folder}/bad\udcff.txt"]


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        Listing(str(tmp_path / "nowhere"))
