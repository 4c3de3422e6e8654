"""The ledger's records: what a store remembers of the files that were indexed into it."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """One file that was indexed, or that failed to be, or whose content another file has, too.

    :param root: Name of the folder that was indexed.
    :param path: POSIX path of the file within it.
    :param size: Bytes.
    :param mtime_ns: Time of last modification, nanoseconds since the epoch.
    :param content_hash: SHA-256 of the file's bytes, hexadecimal.
    :param pipeline: Fingerprint of the indexing pipeline that made the passages.
    :param state: "indexed"; "failed"; or "duplicate": another file with the same identity has the passages.
    :param error: Why it failed; None when it did not.
    :param passages: How many passages the file has in the store.
    :param indexed_at: Unix time, seconds.
    :param seconds: Time that converting it took.
    :param identity: What two files have in common that give the same passages but for their paths; "" if it is not
        known, as of a file that failed.
    """

    root: str
    path: str
    size: int
    mtime_ns: int
    content_hash: str
    pipeline: str
    state: str
    error: str | None
    passages: int
    indexed_at: float
    seconds: float = 0.0
    identity: str = ""


@dataclass(frozen=True)
class SourceText:
    """One converted, cleaned document of a file: the text that its passages' offsets count in.

    :param id: What the passages have as `meta["source_id"]`.
    :param text: The whole text; stored compressed.
    :param meta: Metadata of the document; JSON.
    """

    id: str
    text: str
    meta: dict[str, Any]
