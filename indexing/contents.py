"""Where the bytes of a document are, in a form that a worker process can be sent."""

import json
import lzma
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, BinaryIO, Protocol, cast

_BLOCK = 2**20


class TooLargeError(Exception):
    """There is more to read than may be read."""


class Content(Protocol):
    """Bytes that can be read when they are needed."""

    def read(self, most: int) -> bytes:
        """Read them all.

        :param most: The most bytes to read.
        :raises TooLargeError: If there are more.
        :raises OSError: If they cannot be had.
        """


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file.

    :param path: Where it is.
    """

    path: str

    def read(self, most: int) -> bytes:
        """Read it: see `Content.read`."""
        with open(self.path, "rb") as file:
            return _read(file, most)


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file that fsspec reaches.

    :param url: Its URL.
    """

    url: str

    def read(self, most: int) -> bytes:
        """Read it: see `Content.read`."""
        with open_url(self.url) as file:
            return _read(file, most)


@dataclass(frozen=True)
class ZipMember:
    """A file in a zip archive.

    :param archive: The archive.
    :param name: Its name there.
    """

    archive: Path
    name: str

    def read(self, most: int) -> bytes:
        """Read it: see `Content.read`."""
        try:
            with _zip(self.archive, self.archive.stat().st_mtime_ns).open(self.name) as file:
                return _read(file, most)
        except NotImplementedError as error:
            raise OSError("packed by a method that cannot be read here: unpack the archive first") from error
        except RuntimeError as error:
            raise OSError("encrypted: unpack the archive with its password first") from error
        except (zipfile.BadZipFile, KeyError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
            raise OSError(f"its archive is damaged: {error}") from error


@dataclass(frozen=True)
class TarMember:
    """A file in a tar archive.

    :param archive: The archive, unpacked from any compression.
    :param offset: Where its bytes start.
    :param size: How many they are.
    """

    archive: Path
    offset: int
    size: int

    def read(self, most: int) -> bytes:
        """Read it: see `Content.read`."""
        if self.size > most:
            raise TooLargeError
        with self.archive.open("rb") as file:
            file.seek(self.offset)
            data = file.read(self.size)
        if len(data) < self.size:
            raise OSError("its archive is cut off")
        return data


@dataclass(frozen=True, slots=True)
class Text:
    """A text that was read already.

    :param text: The text.
    """

    text: str

    def read(self, most: int) -> bytes:
        """Read it: see `Content.read`."""
        data = self.text.encode("utf-8", errors="replace")
        if len(data) > most:
            raise TooLargeError
        return data


_KINDS: dict[str, type[LocalFile | RemoteFile | ZipMember | TarMember | Text]] = {
    kind.__name__: kind for kind in (LocalFile, RemoteFile, ZipMember, TarMember, Text)
}


def to_json(content: Content) -> str:
    """Where the bytes of a document are, as JSON.

    :param content: One of the kinds of this module.
    """
    kind = type(content)
    values = [getattr(content, name) for name in kind.__dataclass_fields__]  # type: ignore[attr-defined]
    return json.dumps([kind.__name__, *(str(each) if isinstance(each, Path) else each for each in values)])


def from_json(text: str) -> Content:
    """What `to_json` wrote.

    :param text: JSON.
    """
    name, *values = json.loads(text)
    kind = _KINDS[name]
    if kind in (ZipMember, TarMember):
        values[0] = Path(values[0])
    return kind(*values)


def open_url(url: str) -> BinaryIO:
    """Open a file by its URL.

    :param url: One that fsspec knows.
    :raises OSError: If it cannot be opened.
    """
    import fsspec

    try:
        return cast("BinaryIO", fsspec.open(url, "rb").open())
    except OSError:
        raise
    except Exception as error:  # each file system has errors of its own
        raise OSError(f"{type(error).__name__}: {error}") from error


@lru_cache(maxsize=1)
def _zip(path: Path, mtime_ns: int) -> zipfile.ZipFile:
    """An archive, kept open: its members come one after the other."""
    return zipfile.ZipFile(path)


def _read(file: IO[bytes], most: int) -> bytes:
    # In blocks: one read takes memory for all that it may give, and from a network it may give less than there is.
    blocks: list[bytes] = []
    size = 0
    while block := file.read(min(_BLOCK, most + 1 - size)):
        size += len(block)
        if size > most:
            raise TooLargeError
        blocks.append(block)
    return b"".join(blocks)
