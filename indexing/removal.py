"""Taking files out of an index."""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from lodestone.components.errors import ConfigurationError
from lodestone.components.stores import SourceRecord
from lodestone.components.stores.source_store import SourceStore

Entry = tuple[str, str]


@dataclass
class Removed:
    """What was taken out.

    :param files: How many files.
    :param passages: How many passages they had.
    :param copies: Files with the same content that are still in the index without it: the next run over their root
        indexes them, the first of each as the one that has the passages.
    :param not_found: The paths that stand for no file in the index.
    """

    files: int = 0
    passages: int = 0
    copies: list[str] = field(default_factory=list)
    not_found: list[str] = field(default_factory=list)


def remove(store: SourceStore, paths: Sequence[str]) -> Removed:
    """Delete files, and all files of folders, from an index; what is on disk stays.

    A path is first taken as one on disk, whether or not the file still exists; if no indexed file has it, as a path
    within a root, as answers show it. A root whose last file goes is forgotten.

    :param store: The index.
    :param paths: The paths.
    :returns: What was deleted, and the paths that matched nothing.
    :raises ConfigurationError: If a path is blank, or stands for files of several roots; nothing was deleted.
    """
    if any(not path.strip() for path in paths):
        raise ConfigurationError("a path to delete must not be blank")
    folders = store.roots()
    records = list(store.sources())
    held = [_entry(record) for record in records]
    removed = Removed()
    doomed: dict[Entry, None] = {}
    for path in paths:
        matching = _on_disk(path, held, folders) or _in_roots(path, held)
        if not matching:
            removed.not_found.append(path)
        doomed |= dict.fromkeys(matching)
    removed.passages = store.delete_sources(list(doomed)) if doomed else 0
    removed.files = len(doomed)
    removed.copies = [f"{root}/{path}" for root, path in _left_alone(records, doomed)]
    for root in folders.keys() - {root for root, path in held if (root, path) not in doomed}:
        store.forget_root(root)
    store.save()
    return removed


def _on_disk(given: str, held: Sequence[Entry], folders: dict[str, str]) -> list[Entry]:
    wanted = {os.path.abspath(given), os.path.realpath(given)}
    return [(root, path) for root, path in held if root in folders and _lies(f"{folders[root]}/{path}", wanted)]


def _in_roots(given: str, held: Sequence[Entry]) -> list[Entry]:
    wanted = {os.path.normpath(given)}
    exact = [(root, path) for root, path in held if _lies(f"{root}/{path}", wanted)]
    if exact:
        return exact
    matching = [(root, path) for root, path in held if _lies(path, wanted)]
    roots = sorted({root for root, _ in matching})
    if len(roots) > 1:
        named = ", ".join(f"{root}/{os.path.normpath(given)}" for root in roots)
        raise ConfigurationError(f"{given} stands in several roots; name one of {named}")
    return matching


def _left_alone(records: Sequence[SourceRecord], doomed: Collection[Entry]) -> list[Entry]:
    """The copies of files that are deleted."""
    owned = {record.identity for record in records if record.state == "indexed" and _entry(record) in doomed}
    owned -= {record.identity for record in records if record.state == "indexed" and _entry(record) not in doomed}
    copies = [record for record in records if record.state == "duplicate" and record.identity in owned]
    return [entry for entry in map(_entry, copies) if entry not in doomed]


def _entry(record: SourceRecord) -> Entry:
    return record.root, record.path


def _lies(name: str, wanted: set[str]) -> bool:
    """Whether a file is one of the paths, or lies in one."""
    return any(name == path or name.startswith(f"{path.rstrip('/')}/") for path in wanted)
