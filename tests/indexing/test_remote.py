import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pytest
from small_jobs import index_texts, texts

from lodestone.components.errors import ConfigurationError
from lodestone.indexing import Source
from lodestone.indexing.sources import find_scopes


@pytest.fixture
def bucket() -> Iterator[str]:
    files = fsspec.filesystem("memory")
    for name, text in {"a.txt": "one", "in/b.txt": "two", ".hidden/c.txt": "three"}.items():
        files.pipe(f"/bucket/docs/{name}", text.encode())
    yield "memory://bucket/docs"
    if files.exists("/bucket"):
        files.rm("/bucket", recursive=True)


def test_files_behind_a_url_are_indexed_and_kept_up_to_date(bucket: str, tmp_path: Path) -> None:
    index, files = tmp_path / "index", fsspec.filesystem("memory")
    assert index_texts(index, bucket).indexed == 2
    assert texts(index) == {"docs/a.txt": "one", "docs/in/b.txt": "two"}
    assert index_texts(index, bucket).unchanged == 2
    files.pipe("/bucket/docs/a.txt", b"eins")
    files.rm("/bucket/docs/in/b.txt")
    report = index_texts(index, bucket)
    assert (report.indexed, report.deleted) == (1, 1)
    assert texts(index) == {"docs/a.txt": "eins"}


def test_a_url_that_cannot_be_reached_deletes_nothing(bucket: str, tmp_path: Path) -> None:
    index = tmp_path / "index"
    index_texts(index, bucket)
    fsspec.filesystem("memory").rm("/bucket", recursive=True)
    report = index_texts(index, bucket, prune=True)
    assert (report.deleted, report.complete, len(texts(index))) == (0, False, 2)
    assert "cannot be reached" in report.failed[0].reason


def test_what_was_indexed_stays_when_reading_it_fails_in_the_way_of_its_file_system(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class CutShortError(Exception):
        """As aiohttp's ClientPayloadError, which is no OSError."""

    def cut_short(self: object, length: int = -1) -> bytes:
        raise CutShortError("not enough data")

    index_texts(tmp_path / "index", bucket)
    monkeypatch.setattr("fsspec.implementations.memory.MemoryFile.read", cut_short)
    report = index_texts(tmp_path / "index", bucket, verify=True)
    assert (len(report.failed), len(texts(tmp_path / "index"))) == (2, 2)
    assert "cannot be read: CutShortError: not enough data" in report.failed[0].reason


def test_one_that_nothing_installed_can_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nonsense://x cannot be read: Protocol not known: nonsense"):
        index_texts(tmp_path / "index", "nonsense://x")


def test_a_url_that_has_moved_keeps_its_root_when_that_is_named(bucket: str, tmp_path: Path) -> None:
    index, files = tmp_path / "index", fsspec.filesystem("memory")
    index_texts(index, bucket)
    files.pipe("/bucket/moved/docs/a.txt", b"one")
    with pytest.raises(ConfigurationError, match="already has a root 'docs'"):
        index_texts(index, "memory://bucket/moved/docs")
    moved = Source("memory://bucket/moved/docs", root_name="docs")
    assert index_texts(index, moved, prune=True).deleted == 1
    assert texts(index) == {"docs/a.txt": "one"}


def test_chained_urls_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="chained"):
        index_texts(tmp_path / "index", "zip://*.txt::memory://bucket/a.zip")


@pytest.mark.parametrize("url", ["https://me:secret@host/x", "ftp://me:secret@host", "https://secret@host:1?x"])
def test_urls_with_passwords_are_refused_and_not_shown(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigurationError, match="must not hold a user or password") as caught:
        index_texts(tmp_path / "index", url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["abfs://container@account/x", "memory://bucket/docs/a@b:c", "github://me:docs@main/x"])
def test_urls_with_an_at_sign_but_no_password_are_taken(url: str) -> None:
    assert find_scopes([Source(url)], {})[0].folder == url


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder, and logs nothing."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server, its URL, and the folder that it shows."""
    folder = tmp_path / "site" / "docs"
    (folder / "in").mkdir(parents=True)
    (folder / "a.txt").write_text("one")
    (folder / "in" / "b.txt").write_text("two")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder.parent)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/docs", folder
    finally:
        server.shutdown()
        server.server_close()


def test_a_file_of_a_web_server_is_indexed_by_its_url(site: tuple[str, Path], tmp_path: Path) -> None:
    url, folder = site
    assert index_texts(tmp_path / "index", f"{url}/a.txt").indexed == 1
    assert texts(tmp_path / "index") == {"a.txt/a.txt": "one"}
    (folder / "a.txt").write_text("eins")
    assert index_texts(tmp_path / "index", f"{url}/a.txt").indexed == 1
    assert texts(tmp_path / "index") == {"a.txt/a.txt": "eins"}


def test_a_folder_that_a_web_server_lists_is_indexed_with_what_is_in_it(site: tuple[str, Path], tmp_path: Path) -> None:
    url, folder = site
    report = index_texts(tmp_path / "index", f"{url}/")
    assert texts(tmp_path / "index") == {"docs/a.txt": "one", "docs/in/b.txt": "two"}
    assert report.complete
    (folder / "in" / "b.txt").unlink()
    assert index_texts(tmp_path / "index", f"{url}/", prune=True).deleted == 1


def test_a_web_page_that_is_missing_is_named_and_what_was_indexed_stays(site: tuple[str, Path], tmp_path: Path) -> None:
    url, folder = site
    index_texts(tmp_path / "index", f"{url}/a.txt")
    (folder / "a.txt").unlink()
    report = index_texts(tmp_path / "index", f"{url}/a.txt", prune=True)
    assert (report.complete, len(report.failed), len(texts(tmp_path / "index"))) == (False, 1, 1)
