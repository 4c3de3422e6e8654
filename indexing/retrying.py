"""Looking again at the files that failed, and at nothing else."""

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from lodestone.components.stores.source_store import SourceStore
from lodestone.indexing.archives import is_archive
from lodestone.indexing.remote import RemoteError, look_at
from lodestone.indexing.report import FileOutcome
from lodestone.indexing.scanning import Scan, Scanner
from lodestone.indexing.sources import Scope, Source, SourceFile, find_scopes

Entry = tuple[str, str]


def failed_files(store: SourceStore, sources: Sequence[Source], unread: Iterable[Entry]) -> frozenset[Entry]:
    """The files of some sources that are not indexed because they failed, and are still there.

    :param store: The index.
    :param sources: What was indexed.
    :param unread: Root and path of what failed without the ledger knowing of it.
    :returns: Root and path of each; a path that ends in "/" is a folder, "" all of a root.
    :raises ConfigurationError: If a source is missing.
    """
    scopes = find_scopes(list(sources), store.roots())
    failed = {(record.root, record.path) for record in store.sources() if record.error is not None}
    return frozenset(
        (root, path)
        for root, path in failed.union(unread)
        if any(_covers(scope, root, path) and not _is_gone(scope, path) for scope in scopes)
    )


def scans_of(scanner: Scanner, scopes: Sequence[Scope], wanted: Collection[Entry]) -> list[tuple[Scope, Scan]]:
    """Look for some files only.

    :param scanner: Looks for them.
    :param scopes: What was indexed, in which they are.
    :param wanted: As `failed_files` gives them.
    :returns: For each scope that may have any what is found; documents of an archive or rows of a table come by their
        archive or table, and `is_wanted` tells which of them are meant.
    """
    scans = []
    for scope in scopes:
        # What lies in an archive or a table is found by it, and several may lie in one.
        places = dict.fromkeys(_place(scope, path) for root, path in sorted(wanted) if _covers(scope, root, path))
        if places:
            found = Scan()
            found.files = _files(scanner, scope, places, wanted, found)
            scans.append((scope, found))
    return scans


def _files(
    scanner: Scanner, scope: Scope, places: Iterable[str], wanted: Collection[Entry], found: Scan
) -> Iterator[SourceFile]:
    for path in places:
        one = _look(scanner, scope, path)
        yield from (file for file in one.files if file.columns is not None or is_wanted(file, wanted))
        found.unreadable += one.unreadable
        found.skipped += one.skipped


def is_wanted(file: SourceFile, wanted: Collection[Entry]) -> bool:
    """Whether a file, or an archive, a table, a folder or the root that it is in, is among those that are wanted.

    :param file: The file.
    :param wanted: As `failed_files` gives them.
    """
    parts = file.path.split("/")
    above = ["/".join(parts[:end]) for end in range(len(parts))]
    places = {file.path, "", *above, *(f"{folder}/" for folder in above)}
    return any((file.root, place) in wanted for place in places)


def _covers(scope: Scope, root: str, path: str) -> bool:
    if root != scope.root or not (f"{path}/".startswith(scope.prefix) or path == ""):
        return False
    if scope.has(path):
        return True
    # What could not be listed, which no pattern is for.
    return (path == "" or path.endswith("/") or is_archive(path)) and not scope.patterns.leave_out(path)


def _place(scope: Scope, path: str) -> str:
    """The file on the disk that a document is or lies in."""
    if scope.is_remote or path.endswith("/") or not path:
        return path
    parts = path.split("/")
    places = ("/".join(parts[:end]) for end in range(1, len(parts)))
    return next((place for place in places if os.path.isfile(f"{scope.folder}/{place}")), path)


def _is_gone(scope: Scope, path: str) -> bool:
    return not scope.is_remote and not os.path.lexists(f"{scope.folder}/{_place(scope, path)}")


def _look(scanner: Scanner, scope: Scope, path: str) -> Scan:
    if scope.is_remote and path:
        try:
            file = look_at(scope.folder, path)
        except RemoteError as error:
            return Scan(unreadable=[FileOutcome(scope.show(path), str(error), (scope.root, path))])
        return Scan(iter([SourceFile(scope.root, path, file.content, file.size, file.stamp, scope.show(path))]))
    if _is_gone(scope, path):
        gone = "is gone; what the index holds of it goes when its folder is indexed"
        return Scan(unreadable=[FileOutcome(scope.show(path), gone, (scope.root, path))])
    shown = scope.shown if path == scope.prefix else scope.show(path)
    return scanner.scan(replace(scope, prefix=path, shown=shown))
