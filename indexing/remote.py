"""Files behind URLs, by way of fsspec."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lodestone.components.errors import ConfigurationError
from lodestone.indexing.contents import RemoteFile

_STAMPS = ("ETag", "etag", "md5Hash", "content_md5", "mtime", "LastModified", "last_modified", "updated", "created")


class RemoteError(Exception):
    """Files cannot be listed; the message says why."""


@dataclass(frozen=True)
class RemoteEntry:
    """A file behind a URL.

    :param path: Its path below the URL.
    :param content: How to read it.
    :param size: Bytes; 0 if nobody says.
    :param stamp: A number that changes with it; -1 if nobody gives anything to make one of.
    """

    path: str
    content: RemoteFile
    size: int
    stamp: int


def list_files(url: str) -> Iterator[RemoteEntry]:
    """List the files below a URL.

    :param url: One that fsspec knows, of a folder or a file.
    :returns: The files in the order of their paths.
    :raises ConfigurationError: If nothing is installed that knows URLs of this kind.
    :raises RemoteError: If it cannot be reached, or there is nothing.
    """
    files, top = _file_system(url)
    try:
        listing: dict[str, dict[str, Any]] = files.find(top, detail=True)
        if not listing:
            files.info(top)
    except Exception as error:  # each file system has errors of its own
        raise _unreachable(error) from error
    top = top.rstrip("/")
    for name, info in sorted(listing.items()):
        path = name[len(top) :].lstrip("/") if name.startswith(f"{top}/") else name.rsplit("/", 1)[-1]
        yield RemoteEntry(path, RemoteFile(files.unstrip_protocol(name)), int(info.get("size") or 0), _stamp(info))


def look_at(url: str, path: str) -> RemoteEntry:
    """Find one of the files below a URL without listing the others.

    :param url: As for `list_files`.
    :param path: Its path, as `list_files` gives it.
    :raises ConfigurationError: If nothing is installed that knows URLs of this kind.
    :raises RemoteError: If it cannot be reached, or there is none.
    """
    files, top = _file_system(url)
    top = top.rstrip("/")
    try:
        is_it = top.rsplit("/", 1)[-1] == path and files.isfile(top)
        name = top if is_it else f"{top}/{path}"
        info: dict[str, Any] = files.info(name)
    except Exception as error:  # each file system has errors of its own
        raise _unreachable(error) from error
    return RemoteEntry(path, RemoteFile(files.unstrip_protocol(name)), int(info.get("size") or 0), _stamp(info))


def _file_system(url: str) -> tuple[Any, str]:
    """What reaches a URL, and what it calls it."""
    import fsspec

    try:
        files, top = fsspec.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise ConfigurationError(f"{url} cannot be read: {error}") from error
    return files, top


def _unreachable(error: Exception) -> RemoteError:
    return RemoteError(f"cannot be reached: {type(error).__name__}: {error}")


def _stamp(info: dict[str, Any]) -> int:
    value = next((info[name] for name in _STAMPS if info.get(name) is not None), None)
    if value is None:
        return -1
    text = value.isoformat() if isinstance(value, datetime) else repr(value)
    return int(hashlib.sha256(text.encode()).hexdigest()[:15], 16)
