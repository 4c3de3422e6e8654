"""The files under the roots that a job was given."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lodestone.components.errors import ConfigurationError
from lodestone.indexing.report import FileOutcome


@dataclass(frozen=True)
class Scope:
    """The part of a root that a job looks after.

    :param root: The root's name.
    :param folder: The root's folder, absolute.
    :param prefix: POSIX path within the root, "" for all of it; a folder's ends in "/".
    :param shown: The path as the user gave it.
    """

    root: str
    folder: Path
    prefix: str
    shown: str

    @property
    def is_file(self) -> bool:
        """Whether it is a single file."""
        return bool(self.prefix) and not self.prefix.endswith("/")

    def holds(self, path: str) -> bool:
        """Whether a path within the root belongs to it."""
        return path == self.prefix if self.is_file else path.startswith(self.prefix)


@dataclass(frozen=True)
class SourceFile:
    """A file to index.

    :param root: Its root's name.
    :param path: POSIX path within the root.
    :param file: Where it is.
    :param size: Bytes.
    :param mtime_ns: Last modification, nanoseconds.
    :param shown: Its path as the user would type it.
    """

    root: str
    path: str
    file: Path
    size: int
    mtime_ns: int
    shown: str


@dataclass
class Scan:
    """What was found in a scope.

    :param files: Files in the order of their paths.
    :param skipped: Links that lead out of the root, and what is neither file nor folder.
    :param unreadable: Folders and files that could not be looked at.
    :param hidden_behind: Paths in the root that the unreadable ones stand for; nothing there counts as gone.
    """

    files: list[SourceFile] = field(default_factory=list)
    skipped: list[FileOutcome] = field(default_factory=list)
    unreadable: list[FileOutcome] = field(default_factory=list)
    hidden_behind: list[str] = field(default_factory=list)


def find_scopes(paths: list[Path], roots: dict[str, str], root_name: str | None = None) -> list[Scope]:
    """Give every path its root.

    A folder is a root of its own, named like the folder, unless it lies in one that is already known; a single file
    belongs to the root that holds it, or else to its folder.

    :param paths: Folders and files, as the user gave them.
    :param roots: Name and absolute folder of the roots that the index knows.
    :param root_name: What to call the root; allowed with one path only.
    :returns: A scope for each path, without those that lie in another.
    :raises ConfigurationError: If a path does not exist, or its root's name belongs to another folder.
    """
    if root_name is not None and len(paths) != 1:
        raise ConfigurationError(f"--root-name names the root of one path, got {len(paths)} paths")
    if root_name is not None and not root_name.strip():
        raise ConfigurationError("--root-name must not be blank")
    known = dict(roots)
    scopes: list[Scope] = []
    # Outer folders first, so that what lies in them belongs to them whatever the order it was given in.
    for path in sorted(paths, key=lambda given: len(Path(os.path.realpath(given)).parts)):
        if not path.exists():
            raise ConfigurationError(f"{path} does not exist; name a folder or a file to index")
        scope = _scope(path, known, root_name)
        known[scope.root] = str(scope.folder)
        if not any(_within(scope, other) for other in scopes):
            scopes = [other for other in scopes if not _within(other, scope)] + [scope]
    return scopes


def _within(scope: Scope, other: Scope) -> bool:
    return scope.root == other.root and other.holds(scope.prefix)


def _scope(path: Path, known: dict[str, str], root_name: str | None) -> Scope:
    target = Path(os.path.realpath(path))
    home = target if target.is_dir() else target.parent
    for name, folder in sorted(known.items(), key=lambda entry: -len(entry[1])):
        if home == Path(folder) or Path(folder) in home.parents:
            if root_name not in (None, name):
                raise ConfigurationError(
                    f"{path} is in this index already, under the root '{name}'; leave --root-name out"
                )
            return Scope(name, Path(folder), _prefix(target, Path(folder)), str(path))
    if root_name is None:
        inside = sorted(folder for folder in known.values() if home in Path(folder).parents)
        if inside:
            raise ConfigurationError(
                f"{path} holds {inside[0]}, which is in this index as a root of its own; run `lodestone delete "
                f"{inside[0]}` first, or use another --index"
            )
    name = root_name if root_name is not None else home.name or "root"
    if root_name is None and name in known:
        raise ConfigurationError(
            f"this index already has a root '{name}', the folder {known[name]}; give {path} another name with "
            f"--root-name, or, if it is that folder moved, say so with --root-name {name}"
        )
    return Scope(name, home, _prefix(target, home), str(path))


def _prefix(target: Path, folder: Path) -> str:
    if target == folder:
        return ""
    return target.relative_to(folder).as_posix() + ("/" if target.is_dir() else "")


def scan(scope: Scope, leave_out: Path | None = None) -> Scan:
    """Look for files: everything but hidden files and folders (those whose name begins with a dot).

    :param scope: Where to look.
    :param leave_out: A folder that is not looked into: the index itself.
    :returns: What was found.
    """
    found = Scan()
    top = scope.folder / scope.prefix
    for file in [top] if scope.is_file else _walk(top, scope, found, leave_out):
        path = file.relative_to(scope.folder).as_posix()
        shown = _shown(scope, path)
        try:
            if file.is_symlink() and scope.folder not in Path(os.path.realpath(file)).parents:
                found.skipped.append(FileOutcome(shown, "a link that leads out of the folder is not followed"))
                continue
            status = file.stat()
        except OSError as error:
            found.unreadable.append(FileOutcome(shown, f"cannot be read: {error.strerror or error}"))
            found.hidden_behind.append(path)
            continue
        if not _is_utf8(path):
            found.unreadable.append(FileOutcome(ascii(shown), "its name is not UTF-8; rename it"))
            continue
        if not file.is_file():
            found.skipped.append(FileOutcome(shown, "neither a file nor a folder"))
            continue
        found.files.append(SourceFile(scope.root, path, file, status.st_size, status.st_mtime_ns, shown))
    return found


def _walk(top: Path, scope: Scope, found: Scan, leave_out: Path | None) -> Iterator[Path]:
    def failed(error: OSError) -> None:
        path = Path(error.filename).relative_to(scope.folder).as_posix()
        found.unreadable.append(FileOutcome(_shown(scope, path), f"cannot be listed: {error.strerror or error}"))
        found.hidden_behind.append(f"{path}/" if path != "." else "")

    for folder, folders, files in os.walk(top, onerror=failed):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and Path(folder, name).resolve() != leave_out
        )
        yield from (Path(folder, name) for name in sorted(files) if not name.startswith("."))


def _is_utf8(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _shown(scope: Scope, path: str) -> str:
    """The path as the user would type it."""
    if scope.is_file:
        return scope.shown
    return os.path.normpath(os.path.join(scope.shown, path[len(scope.prefix) :]))
