"""What a job is given to index: folders, files, globs and URLs, and which root each belongs to."""

import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lodestone.components.errors import ConfigurationError
from lodestone.indexing.contents import Content
from lodestone.indexing.patterns import ALL, Patterns, split_glob
from lodestone.indexing.showing import printable
from lodestone.indexing.tables import Columns, is_table


@dataclass(frozen=True)
class Source:
    """Something to index.

    :param path: A folder, a file, either with wildcards, or a URL that fsspec knows.
    :param patterns: Which files of it are looked after; what is not is neither indexed nor deleted.
    :param columns: How rows of its tables become documents; None to convert tables as whole files.
    :param root_name: What its root is called; None for the folder's name.
    """

    path: str
    patterns: Patterns = ALL
    columns: Columns | None = None
    root_name: str | None = None

    @property
    def is_remote(self) -> bool:
        """Whether it is a URL."""
        return "://" in self.path


@dataclass(frozen=True)
class Scope:
    """The part of a root that a job looks after.

    :param root: The root's name.
    :param folder: The root's folder, absolute; for a remote root the URL, without a slash at its end.
    :param prefix: POSIX path within the root, "" for all of it; a folder's ends in "/".
    :param shown: The path as the user gave it.
    :param patterns: Which files of it are looked after.
    :param columns: How rows of its tables become documents, if they do.
    :param glob: What the user gave, if that is a glob.
    """

    root: str
    folder: str
    prefix: str
    shown: str
    patterns: Patterns = ALL
    columns: Columns | None = None
    glob: str | None = None

    @property
    def why_empty(self) -> str:
        """What to say where there is nothing in it."""
        if self.glob is not None:
            return f"no file matches {printable(self.glob)}"
        if self.patterns != ALL:
            return f"{self.shown} holds no files that `include` and `exclude` let in"
        return f"{self.shown} holds no files"

    @property
    def is_file(self) -> bool:
        """Whether it is a single file."""
        return bool(self.prefix) and not self.prefix.endswith("/")

    @property
    def is_remote(self) -> bool:
        """Whether its root is a URL."""
        return "://" in self.folder

    def holds(self, path: str) -> bool:
        """Whether a path within the root belongs to it."""
        inside = path == self.prefix or path.startswith(f"{self.prefix}/" if self.is_file else self.prefix)
        return inside and self.patterns.accept(path)

    def has(self, path: str) -> bool:
        """Whether a document is of it: a file that it holds, or a row of a table that it holds."""
        table = path.rpartition("/")[0]
        return self.holds(path) or (self.columns is not None and is_table(table) and self.holds(table))

    def show(self, path: str) -> str:
        """A path within the root as the user would type it, printable."""
        rest = path[len(self.prefix) :]
        if self.is_remote:
            return printable(f"{self.folder}/{path}")
        return printable(self.shown + rest if self.is_file else f"{self._shown_folder}{rest}")

    @cached_property
    def _shown_folder(self) -> str:
        folder = os.path.normpath(self.shown)
        return "" if folder == "." else f"{folder.rstrip('/')}/"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A document to index.

    :param root: Its root's name.
    :param path: POSIX path within the root.
    :param content: Where its bytes are.
    :param size: Bytes.
    :param mtime_ns: Last modification, nanoseconds; or another number that changes with it; -1 if there is none.
    :param shown: Its path as the user would type it.
    :param columns: For a table whose rows are documents: what its columns are.
    :param mime_type: Its type; None to go by its name.
    :param meta: Metadata that its passages get.
    :param version: A hash that changes with it, for what was read already; else None.
    :param problem: Why it cannot be read; None if it can.
    """

    root: str
    path: str
    content: Content
    size: int
    mtime_ns: int
    shown: str
    columns: Columns | None = None
    mime_type: str | None = None
    meta: dict[str, Any] | None = None
    version: str | None = None
    problem: str | None = None


def find_scopes(sources: list[Source], roots: dict[str, str]) -> list[Scope]:
    """Give every source its root.

    A folder is a root of its own, named like the folder, unless it lies in one that is already known; a single file
    belongs to the root that holds it, or else to its folder; a glob to the folder above its first wildcard. A URL is a
    root of its own, named like its last part.

    :param sources: What the user gave.
    :param roots: Name and absolute folder, or URL, of the roots that the index knows.
    :returns: A scope for each source, without those that lie in another.
    :raises ConfigurationError: If a path does not exist, or its root's name belongs to another folder.
    """
    known = dict(roots)
    scopes: list[Scope] = []
    taken: dict[str, str] = {}
    # Outer folders first, so that what lies in them belongs to them whatever the order it was given in.
    for source in sorted(sources, key=_depth):
        if source.root_name is not None and not source.root_name.strip():
            raise ConfigurationError("--root-name must not be blank")
        scope = _remote_scope(source, known) if source.is_remote else _local_scope(source, known)
        if taken.setdefault(scope.root, scope.folder) != scope.folder:
            raise ConfigurationError(f"{taken[scope.root]} and {scope.folder} cannot both be the root '{scope.root}'")
        known[scope.root] = scope.folder
        if not any(_within(scope, other) for other in scopes):
            scopes = [other for other in scopes if not _within(other, scope)] + [scope]
    return scopes


def _depth(source: Source) -> int:
    target = Path(os.path.realpath(source.path))
    return len(target.parts) - (not target.is_dir())


def _within(scope: Scope, other: Scope) -> bool:
    same_rules = (scope.patterns, scope.columns) == (other.patterns, other.columns)
    outer = f"{other.prefix}/" if other.is_file else other.prefix
    return scope.root == other.root and same_rules and f"{scope.prefix}/".startswith(outer)


def _remote_scope(source: Source, known: dict[str, str]) -> Scope:
    url = source.path.rstrip("/")
    _refuse_password(url)
    if "::" in url:
        raise ConfigurationError(f"{source.path}: chained URLs are not read; name the outer one")
    if source.columns is not None:
        raise ConfigurationError(f"{source.path}: rows are read from local files; download it first")
    for name, folder in known.items():
        if folder == url:
            return Scope(name, url, "", source.path, source.patterns)
    name = source.root_name if source.root_name is not None else url.rsplit("/", 1)[-1]
    if source.root_name is None:
        _refuse_other_root(name, source.path, known)
    return Scope(name, url, "", source.path, source.patterns)


def _refuse_password(url: str) -> None:
    """Refuse what the index would keep and every report would show."""
    scheme, _, rest = url.partition("://")
    user, _, host = re.split(r"[/?#]", rest)[0].rpartition("@")
    # GitHub's are github://owner:repository@branch; others, such as Azure's and SSH's, may name a user.
    if user and scheme != "github" and (":" in user or scheme in ("http", "https")):
        raise ConfigurationError(
            f"the URL of {host} must not hold a user or password: give them in fsspec's configuration, or as its "
            f"file system for {scheme} reads them from the environment"
        )


def _local_scope(source: Source, known: dict[str, str]) -> Scope:
    path, patterns = Path(source.path), source.patterns
    glob = None if path.exists() else split_glob(source.path)
    if glob is not None:
        path, patterns = Path(glob[0]), Patterns((*patterns.include, glob[1]), patterns.exclude)
    if not path.exists():
        raise ConfigurationError(f"{path} does not exist; name a folder or a file to index")
    root, folder, prefix = _root_of(path, known, source.root_name)
    if glob is not None and prefix:
        patterns = Patterns((*source.patterns.include, f"/{prefix}{glob[1].lstrip('/')}"), patterns.exclude)
    given = source.path if glob is not None else None
    return Scope(root, str(folder), prefix, str(path), patterns, source.columns, given)


def _root_of(path: Path, known: dict[str, str], root_name: str | None) -> tuple[str, Path, str]:
    """Name and folder of a path's root, and the path within it."""
    target = Path(os.path.realpath(path))
    home = target if target.is_dir() else target.parent
    for name, folder in sorted(known.items(), key=lambda entry: -len(entry[1])):
        if home == Path(folder) or Path(folder) in home.parents:
            if root_name not in (None, name):
                raise ConfigurationError(
                    f"{path} is in this index already, under the root '{name}'; leave --root-name out"
                )
            return name, Path(folder), _prefix(target, Path(folder))
    if root_name is None:
        inside = sorted(folder for folder in known.values() if home in Path(folder).parents)
        if inside and target != home:
            raise ConfigurationError(
                f"the folder of {path} holds {inside[0]}, which is in this index as a root of its own; give {path} a "
                "root of its own, too, with --root-name"
            )
        if inside:
            raise ConfigurationError(
                f"{path} holds {inside[0]}, which is in this index as a root of its own; run `lodestone delete "
                f"{inside[0]}` first, or use another --index"
            )
    name = root_name if root_name is not None else home.name or "root"
    if root_name is None:
        _refuse_other_root(name, str(path), known)
    return name, home, _prefix(target, home)


def _refuse_other_root(name: str, path: str, known: dict[str, str]) -> None:
    if name in known:
        raise ConfigurationError(
            f"this index already has a root '{name}', the folder {known[name]}; give {path} another name with "
            f"--root-name, or, if it is that folder moved, say so with --root-name {name}"
        )


def _prefix(target: Path, folder: Path) -> str:
    if target == folder:
        return ""
    return target.relative_to(folder).as_posix() + ("/" if target.is_dir() else "")
