"""Finding the documents of a scope: in folders, in archives, behind URLs."""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lodestone.indexing import archives
from lodestone.indexing.archives import ArchiveError
from lodestone.indexing.contents import LocalFile
from lodestone.indexing.limits import Limits
from lodestone.indexing.listing import Listing
from lodestone.indexing.remote import RemoteError, list_files
from lodestone.indexing.report import FileOutcome
from lodestone.indexing.sources import Scope, SourceFile
from lodestone.indexing.tables import is_table

_LAST_NS = 2**63 - 1


@dataclass
class Scan:
    """What is found in a scope; the rest is known when all files have been read.

    :param files: Documents, tables whose rows are documents as one; to be read once.
    :param skipped: Links that lead out of the root, what is neither file nor folder, what an archive must not hold.
    :param unreadable: Folders and files that could not be looked at.
    :param hidden_behind: Paths in the root that the unreadable ones stand for; nothing there counts as gone.
    """

    files: Iterator[SourceFile] = field(default_factory=lambda: iter(()))
    skipped: list[FileOutcome] = field(default_factory=list)
    unreadable: list[FileOutcome] = field(default_factory=list)
    hidden_behind: list[str] = field(default_factory=list)

    @property
    def has_others(self) -> bool:
        """Whether there is something that is no document."""
        return bool(self.unreadable or self.skipped)


@dataclass(frozen=True)
class Scanner:
    """Looks for documents: everything but hidden files and folders (those whose name begins with a dot).

    :param limits: What an archive may hold.
    :param scratch: Gives a folder for archives that must be unpacked as a whole.
    :param open_archives: Whether archives are looked into.
    :param leave_out: A folder that is not looked into: the index itself.
    """

    limits: Limits
    scratch: Callable[[], Path]
    open_archives: bool = True
    leave_out: str | None = None

    def scan(self, scope: Scope) -> Scan:
        """Look for documents.

        :param scope: Where.
        :returns: What was found.
        """
        found = Scan()
        found.files = self._remote_files(scope, found) if scope.is_remote else self._files(scope, found)
        return found

    def _files(self, scope: Scope, found: Scan) -> Iterator[SourceFile]:
        top = f"{scope.folder}/{scope.prefix}".rstrip("/") or "/"
        if scope.is_file:
            yield from self._look_at(top, scope.prefix, os.path.islink(top), scope, found)
            return
        folder = scope.folder.rstrip("/")
        for path, is_link in self._walk(top, scope.prefix, scope, found):
            yield from self._look_at(f"{folder}/{path}", path, is_link, scope, found)

    def _remote_files(self, scope: Scope, found: Scan) -> Iterator[SourceFile]:
        try:
            for file in list_files(scope.folder):
                if scope.holds(file.path) and not any(part.startswith(".") for part in file.path.split("/")):
                    shown = scope.show(file.path)
                    yield SourceFile(scope.root, file.path, file.content, file.size, file.stamp, shown)
        except RemoteError as error:
            found.unreadable.append(FileOutcome(scope.shown, str(error), (scope.root, "")))
            found.hidden_behind.append("")

    def _walk(self, folder: str, prefix: str, scope: Scope, found: Scan) -> Iterator[tuple[str, bool]]:
        """Files below a folder that are looked after, by their paths within the root, and whether they are links."""
        try:
            listing = Listing(folder)
        except OSError as error:
            shown = scope.show(prefix)
            reason = f"cannot be listed: {error.strerror or error}"
            found.unreadable.append(FileOutcome(shown, reason, (scope.root, prefix)))
            found.hidden_behind.append(prefix)
            return
        with listing:
            for name, _, is_link in listing.others():
                path = prefix + name
                if is_link and os.path.isdir(f"{folder}/{name}"):
                    continue  # what it shows is found where it is, or is not of this root
                if scope.patterns.accept(path) or (self._opens(path) and not scope.patterns.leave_out(path)):
                    yield path, is_link
            for name, _, _ in listing.folders():
                path, inside = prefix + name, f"{folder.rstrip('/')}/{name}"
                if os.path.realpath(inside) != self.leave_out and not scope.patterns.leave_out(path):
                    yield from self._walk(inside, f"{path}/", scope, found)

    def _look_at(self, file: str, path: str, is_link: bool, scope: Scope, found: Scan) -> Iterator[SourceFile]:
        shown = scope.show(path)
        try:
            if is_link and not os.path.realpath(file).startswith(scope.folder.rstrip("/") + "/"):
                found.skipped.append(FileOutcome(shown, "a link that leads out of the folder is not followed"))
                return
            status = os.stat(file)
        except OSError as error:
            reason = f"cannot be read: {error.strerror or error}"
            found.unreadable.append(FileOutcome(shown, reason, (scope.root, path)))
            found.hidden_behind.append(path)
            return
        if not _is_utf8(path):
            found.unreadable.append(FileOutcome(shown, "its name is not UTF-8; rename it", (scope.root, path)))
            return
        if not stat.S_ISREG(status.st_mode):
            found.skipped.append(FileOutcome(shown, "neither a file nor a folder"))
            return
        # A time after the year 2262 fits into no database.
        mtime_ns = min(status.st_mtime_ns, _LAST_NS)
        if self._opens(path):
            yield from self._look_into(Path(file), path, mtime_ns, scope, found)
        else:
            columns = scope.columns if is_table(path) else None
            content = LocalFile(file)
            yield SourceFile(scope.root, path, content, status.st_size, mtime_ns, shown, columns)

    def _opens(self, path: str) -> bool:
        return self.open_archives and archives.is_archive(path)

    def _look_into(self, archive: Path, path: str, mtime_ns: int, scope: Scope, found: Scan) -> Iterator[SourceFile]:
        try:
            members = archives.members(archive, self.limits, self.scratch)
        except ArchiveError as error:
            found.unreadable.append(FileOutcome(scope.show(path), str(error), (scope.root, path)))
            found.hidden_behind.append(f"{path}/")
            return
        for member in members:
            inside = f"{path}/{member.name}"
            if not scope.holds(inside):
                continue
            if member.content is None:
                found.skipped.append(FileOutcome(scope.show(inside), member.problem or ""))
                continue
            yield SourceFile(scope.root, inside, member.content, member.size, mtime_ns, scope.show(inside))


def _is_utf8(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
