"""Taking files out of an index."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from lodestone.components.errors import ConfigurationError
from lodestone.components.stores.source_store import SourceStore

Entry = tuple[str, str]


@dataclass
class Removed:
    """What was taken out.

    :param files: How many files.
    :param passages: How many passages they had.
    :param not_found: The paths that stand for no file in the index.
    """

    files: int = 0
    passages: int = 0
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
    held = [(record.root, record.path) for record in store.sources()]
    removed = Removed()
    doomed: dict[Entry, None] = {}
    for path in paths:
        matching = _on_disk(path, held, folders) or _in_roots(path, held)
        if not matching:
            removed.not_found.append(path)
        doomed |= dict.fromkeys(matching)
    removed.passages = store.delete_sources(list(doomed)) if doomed else 0
    removed.files = len(doomed)
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


def _lies(name: str, wanted: set[str]) -> bool:
    """Whether a file is one of the paths, or lies in one."""
    return any(name == path or name.startswith(f"{path.rstrip('/')}/") for path in wanted)
