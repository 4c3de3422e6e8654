import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from small_jobs import index_texts, texts

from lodestone.indexing import Limits, Report, Settings


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    return tmp_path / "docs"


def make_zip(file: Path, members: dict[str, str], compression: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, text in members.items():
            archive.writestr(name, text)


def make_tar(file: Path, members: dict[str, str], mode: str) -> None:
    with tarfile.open(file, mode) as archive:  # type: ignore[call-overload]
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))


def reasons(report: Report) -> dict[str, str]:
    return {Path(outcome.path).name: outcome.reason for outcome in [*report.failed, *report.skipped]}


@pytest.mark.parametrize(
    ("name", "mode"),
    [("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tgz", "w:gz"), ("a.tbz2", "w:bz2"), ("a.tar.xz", "w:xz")],
)
def test_files_in_a_tar_archive_are_documents(docs: Path, tmp_path: Path, name: str, mode: str) -> None:
    make_tar(docs / name, {"b.txt": "two", "in/a.txt": "one", ".hidden.txt": "no"}, mode)
    report = index_texts(tmp_path / "index", docs)
    assert report.complete
    assert texts(tmp_path / "index") == {f"docs/{name}/b.txt": "two", f"docs/{name}/in/a.txt": "one"}


def test_files_in_a_zip_archive_are_replaced_and_deleted_like_others(docs: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    make_zip(docs / "a.zip", {"one.txt": "1", "two.txt": "2", "three.txt": "3"})
    assert index_texts(index, docs).indexed == 3
    assert index_texts(index, docs).unchanged == 3
    make_zip(docs / "a.zip", {"one.txt": "1", "two.txt": "zwei"})
    report = index_texts(index, docs)
    assert (report.indexed, report.unchanged, report.deleted) == (1, 1, 1)
    assert texts(index) == {"docs/a.zip/one.txt": "1", "docs/a.zip/two.txt": "zwei"}


def test_names_that_lead_out_links_and_archives_in_archives_are_refused(docs: Path, tmp_path: Path) -> None:
    members = {"../up.txt": "x", "/abs.txt": "x", "a/../../b.txt": "x", "C:\\c.txt": "x", "in.zip": "x", "ok.txt": "ok"}
    make_zip(docs / "a.zip", members)
    with tarfile.open(docs / "b.tar", "w") as archive:
        link = tarfile.TarInfo("link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        pipe = tarfile.TarInfo("pipe.txt")
        pipe.type = tarfile.FIFOTYPE
        archive.addfile(pipe)
    report = index_texts(tmp_path / "index", docs)
    assert texts(tmp_path / "index") == {"docs/a.zip/ok.txt": "ok"}
    found = reasons(report)
    for name in ("up.txt", "abs.txt", "b.txt", "c.txt"):
        assert found[name] == "its name leads out of the archive"
    assert "archive in an archive" in found["in.zip"]
    assert "link in an archive" in found["link.txt"]
    assert "neither a file" in found["pipe.txt"]


def test_an_archive_that_holds_too_much_is_not_opened_and_what_was_indexed_of_it_stays(
    docs: Path, tmp_path: Path
) -> None:
    index = tmp_path / "index"
    make_zip(docs / "a.zip", {"1.txt": "1", "2.txt": "2", "3.txt": "3"})
    index_texts(index, docs)
    make_zip(docs / "bomb.zip", {"0.txt": "0" * 20_000_000})
    make_tar(docs / "bomb.tar.gz", {"0.txt": "0" * 20_000_000}, "w:gz")
    make_tar(docs / "many.tar", {"1.txt": "1", "2.txt": "2", "3.txt": "3"}, "w")
    (docs / "broken.zip").write_bytes(b"PK nothing")
    (docs / "broken.tgz").write_bytes(b"\x1f\x8b nothing")
    report = index_texts(index, docs, settings=Settings(workers=0, limits=Limits(archive_files=2)))
    found = reasons(report)
    assert found["a.zip"] == found["many.tar"] == "the archive holds more than 2 files; unpack it first"
    assert "as bombs do" in found["bomb.zip"]
    assert "as bombs do" in found["bomb.tar.gz"]
    assert "damaged" in found["broken.zip"]
    assert "damaged" in found["broken.tgz"]
    assert len(texts(index)) == 3
    large = index_texts(index, docs / "bomb.zip", settings=Settings(workers=0, limits=Limits(archive_megabytes=10)))
    assert "more than 10 MiB" in large.failed[0].reason


def test_a_member_that_is_larger_than_the_archive_says_is_not_read_to_its_end(docs: Path, tmp_path: Path) -> None:
    make_zip(docs / "a.zip", {"a.txt": "0" * 3_000_000}, zipfile.ZIP_STORED)
    size = (3_000_000).to_bytes(4, "little")
    (docs / "a.zip").write_bytes((docs / "a.zip").read_bytes().replace(size, (10).to_bytes(4, "little")))
    report = index_texts(tmp_path / "index", docs, settings=Settings(workers=0, limits=Limits(megabytes=1)))
    assert (report.indexed, len(report.failed)) == (0, 1)


@pytest.mark.parametrize(
    ("changed", "name", "reason"),
    [({6: 99}, "a.zip", "zip file version 9.9"), ({28: 0, 30: 1}, "unnamed", "it has no name")],
    ids=["of a later version", "with an empty name"],
)
def test_an_archive_that_the_library_gives_up_does_not_end_the_job(
    docs: Path, tmp_path: Path, changed: dict[int, int], name: str, reason: str
) -> None:
    make_zip(docs / "a.zip", {"a": "one"}, zipfile.ZIP_STORED)
    data = bytearray((docs / "a.zip").read_bytes())
    for offset, value in changed.items():
        data[data.index(b"PK\x01\x02") + offset] = value
    (docs / "a.zip").write_bytes(data)
    (docs / "b.txt").write_text("two")
    report = index_texts(tmp_path / "index", docs)
    assert texts(tmp_path / "index") == {"docs/b.txt": "two"}
    assert reason in reasons(report)[name]


def test_folders_and_hidden_files_count_too(docs: Path, tmp_path: Path) -> None:
    make_tar(docs / "a.tar", {".1.txt": "1", ".2.txt": "2", "3.txt": "3"}, "w")
    make_zip(docs / "b.zip", {"1/": "", "2/": "", "3.txt": "3"})
    report = index_texts(tmp_path / "index", docs, settings=Settings(workers=0, limits=Limits(archive_files=2)))
    assert all("more than 2 files" in reason for reason in reasons(report).values())
    assert len(report.failed) == 2


def test_a_member_whose_data_became_damaged_is_named_and_what_was_indexed_of_it_stays(
    docs: Path, tmp_path: Path
) -> None:
    text = "".join(f"line {number}\n" for number in range(1000))
    make_zip(docs / "a.zip", {"a.txt": text})
    index_texts(tmp_path / "index", docs)
    data = bytearray((docs / "a.zip").read_bytes())
    data[40:60] = b"\xff" * 20
    (docs / "a.zip").write_bytes(data)
    report = index_texts(tmp_path / "index", docs, verify=True)
    assert "its archive is damaged" in reasons(report)["a.txt"]
    assert texts(tmp_path / "index") == {"docs/a.zip/a.txt": text}


def test_a_member_packed_by_an_unknown_method_is_not_called_encrypted(docs: Path, tmp_path: Path) -> None:
    make_zip(docs / "a.zip", {"a.txt": "one"}, zipfile.ZIP_STORED)
    data = bytearray((docs / "a.zip").read_bytes())
    data[data.index(b"PK\x01\x02") + 10] = data[8] = 97
    (docs / "a.zip").write_bytes(data)
    reason = reasons(index_texts(tmp_path / "index", docs))["a.txt"]
    assert "packed by a method that cannot be read here" in reason


def test_archives_can_be_left_closed(docs: Path, tmp_path: Path) -> None:
    make_zip(docs / "a.zip", {"a.txt": "one"})
    (docs / "b.txt").write_text("two")
    index_texts(tmp_path / "index", docs, settings=Settings(workers=0, archives=False))
    assert "docs/a.zip/a.txt" not in texts(tmp_path / "index")
