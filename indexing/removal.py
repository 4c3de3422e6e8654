"""Taking files out of an index."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from lodestone.components.stores import FaissDocumentStore


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


def remove(store: FaissDocumentStore, paths: Sequence[str]) -> Removed:
    """Delete files, and all files of folders, from an index; what is on disk stays.

    :param store: The index.
    :param paths: Paths on disk, whether or not they still exist, or paths within a root as answers show them.
    :returns: What was deleted, and the paths that matched nothing.
    """
    removed = Removed()
    folders = store.roots()
    held = [(record.root, record.path) for record in store.sources()]
    for path in paths:
        matching = [entry for entry in held if _stands_for(path, *entry, folders.get(entry[0]))]
        if not matching:
            removed.not_found.append(path)
            continue
        removed.passages += store.delete_sources(matching)
        removed.files += len(matching)
        held = [entry for entry in held if entry not in set(matching)]
    store.save()
    return removed


def _stands_for(given: str, root: str, path: str, folder: str | None) -> bool:
    names = [path, f"{root}/{path}"]
    if folder is not None:
        names.append(f"{folder.rstrip('/')}/{path}")
    wanted = [os.path.normpath(given), os.path.abspath(given), os.path.realpath(given)]
    return any(name == want or name.startswith(want.rstrip("/") + "/") for name in names for want in wanted)
