"""What would be lost if an index that was built anew took the place of the one that serves."""

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing

from lodestone.components.stores import SourceRecord
from lodestone.components.stores.source_store import SourceStore
from lodestone.indexing.job_tables import JobTables
from lodestone.indexing.key_set import Key
from lodestone.indexing.planning import Plan
from lodestone.indexing.report import Report
from lodestone.indexing.scanning import Scan
from lodestone.indexing.showing import Named
from lodestone.indexing.sources import Scope

_SCHEMA = "CREATE TABLE built (root TEXT, path TEXT, failed INTEGER, PRIMARY KEY (root, path)) WITHOUT ROWID"


def scope_of(key: Key, scopes: Iterable[Scope]) -> Scope | None:
    """The source that a document belongs to; None if it is not looked after.

    :param key: Its root and path.
    :param scopes: What is indexed.
    """
    root, path = key
    return next((scope for scope in scopes if scope.root == root and scope.has(path)), None)


def without_scope(records: Iterable[SourceRecord], scopes: Sequence[Scope]) -> Named:
    """The documents of an index that a job would not look after, without those that failed.

    :param records: The index's ledger.
    :param scopes: What the job is to index.
    """
    found = Named()
    for record in records:
        if record.state != "failed" and scope_of((record.root, record.path), scopes) is None:
            found.add((record.root, record.path))
    return found


class Comparison:
    """Compares the ledger of the index that serves with that of the one that was built, in memory that does not grow
    with their number.

    :param plan: Of the job that has built it, with all that it has found.
    :param scans: What it has looked for, and what it has found besides.
    :param prune: Whether most of a source may be gone.
    """

    def __init__(self, plan: Plan, scans: Sequence[tuple[Scope, Scan]], prune: bool) -> None:
        self._plan = plan
        self._scopes = [scope for scope, _ in scans]
        self._hidden = [(scope.root, path) for scope, scan in scans for path in scan.hidden_behind]
        self._prune = prune

    def note_losses(self, old: SourceStore, new: SourceStore, report: Report) -> None:
        """Warn of what the new index lacks, other than what is gone from the sources.

        :param old: The index that serves.
        :param new: The index that was built.
        :param report: It is not complete if anything is lacking.
        """
        failed, missing = Named(), Named()
        held: Counter[Scope | None] = Counter()
        gone: Counter[Scope] = Counter()
        with closing(JobTables(_SCHEMA)) as tables:
            rows = ((each.root, each.path, each.state == "failed") for each in new.sources())
            tables.run_many("INSERT OR REPLACE INTO built VALUES (?, ?, ?)", rows)
            for record in old.sources():
                key = record.root, record.path
                if record.state == "failed":
                    continue
                scope = scope_of(key, self._scopes)
                held[scope] += 1
                has_failed = _has_failed(tables, key)
                if has_failed:
                    failed.add(key)
                elif has_failed is None and not self._is_covered(key, tables):
                    if scope is None or self._is_there(key):
                        missing.add(key)
                    else:
                        gone[scope] += 1
        if failed.number:
            what = f"the new index lacks {failed.number:,} files that the old one holds, as they failed ({failed})"
            report.warnings.append(what)
        if missing.number:
            report.warnings.append(
                f"the new index lacks {missing.number:,} files that the old one holds and that are not gone: they were "
                f"skipped, could not be read, or came meanwhile ({missing}); if they are to go, run `lodestone delete` "
                "on them first"
            )
        most = [] if self._prune else [scope for scope, lost in gone.items() if lost * 2 > held[scope]]
        for scope in most:
            report.warnings.append(
                f"{gone[scope]:,} of the {held[scope]:,} files that the old index holds of {scope.shown} are gone from "
                "there. If that is meant, run again with --prune"
            )
        if failed.number or missing.number or most:
            report.incomplete = True

    def _is_there(self, key: Key) -> bool:
        """Whether a document that the new index lacks is in its source, or may be."""
        root, path = key
        if any(root == hidden and path.startswith(behind) for hidden, behind in self._hidden):
            return True
        above = _above(key)
        if not self._plan.unread_tables.isdisjoint([key, *above]) or key in self._plan.rows:
            return True
        # What lies in an archive is there while that is one document; rows are gone from a table that was read.
        found = (self._plan.found.get(each) for each in (key, *above))
        return any(source is not None and source.columns is None for source in found)

    def _is_covered(self, key: Key, tables: JobTables) -> bool:
        """Whether the new index holds a document in another form: a table by its rows, or a row by its table."""
        return self._plan.rows.has_below(key) or any(_has_failed(tables, each) is False for each in _above(key))


def _above(key: Key) -> list[Key]:
    """What a document may lie in: folders, archives, tables."""
    root, path = key
    return [(root, path[:at]) for at, character in enumerate(path) if character == "/"]


def _has_failed(tables: JobTables, key: Key) -> bool | None:
    """Whether a document failed in the new index; None if that does not know it."""
    row = tables.row("SELECT failed FROM built WHERE root = ? AND path = ?", key)
    return None if row is None else bool(row[0])
