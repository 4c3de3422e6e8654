"""Bytes are read up to a limit, whatever is there."""

import io
import tracemalloc
from pathlib import Path

import pytest

from lodestone.indexing.contents import (
    Content,
    LocalFile,
    RemoteFile,
    TarMember,
    Text,
    TooLargeError,
    ZipMember,
    from_json,
    to_json,
)


def test_a_file_that_is_too_large_is_not_read_to_its_end(tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb") as file:
        file.truncate(64 * 2**20)
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError):
            LocalFile(str(tmp_path / "a")).read(2**20)
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [0, 1, 2**20, 2**20 + 1])
def test_a_file_as_large_as_may_be_is_read_whole(tmp_path: Path, size: int) -> None:
    (tmp_path / "a").write_bytes(b"x" * size)
    for content in (LocalFile(str(tmp_path / "a")), RemoteFile(f"file://{tmp_path}/a")):
        assert content.read(size) == content.read(2**62) == b"x" * size
        check_refused(content, size - 1)


def check_refused(content: Content, most: int) -> None:
    if most >= 0:
        with pytest.raises(TooLargeError):
            content.read(most)


def test_what_a_network_gives_in_pieces_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    class Pieces(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(3)

    monkeypatch.setattr("lodestone.indexing.contents.open_url", lambda url: Pieces(b"0123456789"))
    assert RemoteFile("x://y").read(100) == b"0123456789"


@pytest.mark.parametrize(
    "content",
    [
        LocalFile("/a/b\udcff"),
        RemoteFile("memory://é"),
        ZipMember(Path("/a.zip"), "x/y"),
        TarMember(Path("/a.tar"), 512, 2**40),
        Text("a\ud800\x00\n"),
    ],
)
def test_where_bytes_are_can_be_written_down(content: Content) -> None:
    assert from_json(to_json(content)) == content
