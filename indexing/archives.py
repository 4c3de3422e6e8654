"""Zip and tar archives as folders of documents, within limits: nothing is unpacked by its own name."""

import bz2
import gzip
import lzma
import os
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lodestone.indexing.contents import Content, TarMember, ZipMember
from lodestone.indexing.limits import Limits
from lodestone.indexing.showing import printable

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_MIB = 2**20
_LONGEST_NAME = 1000  # bytes; what is longer is no term of an index
# Below this a high ratio is harmless, and common.
_SMALL = 16 * _MIB


class ArchiveError(Exception):
    """An archive is not opened; the message says why."""


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    :param name: Its path in the archive, POSIX.
    :param size: Bytes, as the archive says.
    :param content: How to read it; None if it is not read.
    :param problem: Why not.
    """

    name: str
    size: int
    content: Content | None
    problem: str | None = None


def is_archive(path: str) -> bool:
    """Whether a file is an archive, by its name."""
    return path.lower().endswith(SUFFIXES)


def members(archive: Path, limits: Limits, scratch: Callable[[], Path]) -> list[Member]:
    """List what an archive holds.

    :param archive: The archive.
    :param limits: What it may hold.
    :param scratch: Gives a folder for what must be unpacked as a whole; its files are named by us.
    :returns: Its files in the order of their names, hidden ones left out.
    :raises ArchiveError: If it is damaged, or holds more than it may.
    """
    try:
        found = _zip_members(archive, limits) if archive.suffix.lower() == ".zip" else _tar(archive, limits, scratch)
    except ArchiveError:
        raise
    except NotImplementedError as error:
        raise ArchiveError(f"the archive is of a kind that cannot be read: {printable(str(error))}") from error
    except Exception as error:  # the libraries raise IndexError, KeyError and others of their own, too
        raise ArchiveError(f"the archive is damaged: {printable(str(error))}") from error
    by_name: dict[str, Member] = {}
    for member in found:
        by_name.setdefault(member.name, member)
    return [by_name[name] for name in sorted(by_name)]


def _zip_members(path: Path, limits: Limits) -> list[Member]:
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
    _check(len(infos), sum(info.file_size for info in infos), path.stat().st_size, limits)
    found = []
    for info in infos:
        if info.filename.endswith("/"):
            continue
        is_link = (info.external_attr >> 16) & 0o170000 == 0o120000
        problem = _problem(info.filename, is_link)
        if problem is None and info.flag_bits & 1:
            problem = "encrypted: unpack the archive with its password first"
        content = None if problem is not None else ZipMember(path, info.filename)
        found.append(Member(_clean(info.filename), info.file_size, content, problem))
    return [member for member in found if not _is_hidden(member.name)]


def _tar(path: Path, limits: Limits, scratch: Callable[[], Path]) -> list[Member]:
    if path.suffix.lower() != ".tar":
        handle, name = tempfile.mkstemp(".tar", dir=scratch())
        os.close(handle)
        unpacked = Path(name)
        _decompress(path, unpacked, limits)
        return _tar_members(unpacked, path.stat().st_size, limits)
    return _tar_members(path, path.stat().st_size, limits)


def _tar_members(path: Path, packed: int, limits: Limits) -> list[Member]:
    found: list[Member] = []
    total = 0
    with tarfile.open(path, "r:") as archive:
        for count, info in enumerate(archive, start=1):
            total += info.size
            _check(count, total, packed, limits)
            if info.isdir():
                continue
            problem = _problem(info.name, info.issym() or info.islnk())
            if problem is None and (not info.isreg() or info.issparse()):
                problem = "neither a file nor a folder"
            content = None if problem is not None else TarMember(path, info.offset_data, info.size)
            member = Member(_clean(info.name), info.size, content, problem)
            found += [] if _is_hidden(member.name) else [member]
    return found


def _decompress(path: Path, target: Path, limits: Limits) -> None:
    packed = path.stat().st_size
    with _opened(path) as source, target.open("wb") as file:
        written = 0
        while block := source.read(_MIB):
            written += len(block)
            _check(0, written, packed, limits)
            file.write(block)


def _opened(path: Path) -> gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile:
    suffix = path.suffix.lower()
    if suffix in (".gz", ".tgz"):
        return gzip.open(path)
    return bz2.open(path) if suffix in (".bz2", ".tbz2") else lzma.open(path)


def _check(count: int, size: int, packed: int, limits: Limits) -> None:
    if count > limits.archive_files:
        raise ArchiveError(f"the archive holds more than {limits.archive_files:,} files; unpack it first")
    if size > limits.archive_megabytes * _MIB:
        raise ArchiveError(f"the archive holds more than {limits.archive_megabytes:,} MiB; unpack it first")
    if size > _SMALL and size > packed * limits.archive_ratio:
        raise ArchiveError(f"the archive unpacks to more than {limits.archive_ratio:g} times its size, as bombs do")


def _problem(name: str, is_link: bool) -> str | None:
    if not name:
        return "it has no name"
    if is_link:
        return "a link in an archive is not followed"
    if name.startswith(("/", "\\")) or ".." in PurePosixPath(name.replace("\\", "/")).parts or name[1:2] == ":":
        return "its name leads out of the archive"
    if len(name.encode("utf-8", "replace")) > _LONGEST_NAME:
        return f"its name has more than {_LONGEST_NAME:,} bytes"
    if is_archive(name):
        return "an archive in an archive is not opened; unpack it first"
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    return None


def _clean(name: str) -> str:
    """The name as a path below the archive, whatever it was; printable."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    clean = "/".join(parts).encode("utf-8", "replace").decode("utf-8")
    return clean[:_LONGEST_NAME] or "unnamed"


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def no_scratch() -> Path:
    """In the place of a scratch folder where other machines read the documents.

    :raises ArchiveError: Always.
    """
    raise ArchiveError(
        "a compressed tar archive is unpacked on one machine only: unpack it first, or run without --executor ray"
    )


class Scratch:
    """A folder for what must be unpacked, made when it is first needed and removed in the end."""

    def __init__(self) -> None:
        self._folder: str | None = None

    def folder(self) -> Path:
        """The folder."""
        if self._folder is None:
            self._folder = tempfile.mkdtemp(prefix="lodestone-")
        return Path(self._folder)

    def remove(self) -> None:
        """Remove it with all that is in it."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
