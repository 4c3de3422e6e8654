"""Converting the copies of what is gone or has changed, so that what they hold is never missing."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator

from lodestone.components.stores.source_store import SourceStore
from lodestone.indexing.conversion import Task
from lodestone.indexing.key_set import Key
from lodestone.indexing.planning import Plan
from lodestone.indexing.report import Report
from lodestone.indexing.scanning import Scanner
from lodestone.indexing.showing import Named, printable
from lodestone.indexing.sources import Scope, SourceFile


class Finder:
    """Finds documents that the ledger knows, wherever they were indexed from.

    :param store: The store.
    :param plan: What the job has to do.
    :param scanner: Looks for what is elsewhere.
    """

    def __init__(self, store: SourceStore, plan: Plan, scanner: Scanner) -> None:
        self.plan = plan
        self._store = store
        self._scanner = scanner
        self._roots = store.roots()

    def is_ours(self, key: Key) -> bool:
        """Whether a document is in the job's sources."""
        return key in self.plan.found or key in self.plan.rows

    def find(self, keys: list[Key]) -> list[SourceFile]:
        """Find documents.

        :param keys: Root and path of each.
        :returns: Those that are there, by root and path.
        """
        found = {(source.root, source.path): source for source in self.plan.found_again(keys)}
        for key in keys:
            if not self.is_ours(key):
                record, source = self._store.source(*key), self._elsewhere(*key)
                if record is not None and source is not None:
                    self.plan.known.adopt(record)
                    found[key] = source
        return [found[key] for key in sorted(found)]

    def _elsewhere(self, root: str, path: str) -> SourceFile | None:
        """A file, or a file in an archive; neither a row, whose columns nobody knows here, nor what is behind a URL."""
        folder, parts = self._roots.get(root, ""), path.split("/")
        for end in range(1, len(parts) + 1):
            prefix = "/".join(parts[:end])
            if "://" not in folder and os.path.isfile(f"{folder}/{prefix}"):
                found = self._scanner.scan(Scope(root, folder, prefix, shown=f"{folder}/{prefix}"))
                return next((source for source in found.files if source.path == path), None)
        return None


def pass_on(finder: Finder, work: Callable[[Iterator[Task]], None], report: Report, stop: threading.Event) -> None:
    """Convert copies of what is not there any more, and then what they were copies of, if it has changed.

    :param finder: Finds them.
    :param work: Converts documents, and writes them.
    :param report: Of the job.
    :param stop: Set when the job is to end.
    """
    duplicates, later = finder.plan.duplicates, finder.plan.later
    has_later = len(later) > 0
    while not stop.is_set():
        found: Iterable[SourceFile]
        if heirs := duplicates.heirs():
            # They were counted before, as what they were until now.
            report.unchanged -= sum(finder.is_ours(key) and not duplicates.is_found(key) for key in heirs)
            found = finder.find(heirs)
        elif has_later:
            found, has_later = later, False
        else:
            break
        if found:
            work(Task(source) for source in found)
    if not stop.is_set() and (warning := _missing(duplicates.orphans())) is not None:
        report.incomplete = True
        report.warnings.append(warning)


def _missing(orphans: Iterable[Key]) -> str | None:
    """What to do about copies that could not be converted; None if there are none."""
    found, roots = Named(), set()
    for key in orphans:
        found.add(key)
        roots.add(printable(key[0]))
    if not found.number:
        return None
    left = found.number - len(found.first)
    more = f" and {left} more" if left else ""
    return (
        f"{', '.join(found.first)}{more}: the index lacks what is in there, as it was held for files that are gone or "
        f"have changed; run `lodestone index` on {', '.join(sorted(roots))}, too"
    )
