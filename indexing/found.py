"""The documents that a job has found, on the disk."""

from collections.abc import Iterable, Iterator

from lodestone.indexing.contents import LocalFile, from_json, to_json
from lodestone.indexing.job_tables import JobTables, Row
from lodestone.indexing.key_set import Key
from lodestone.indexing.sources import Scope, SourceFile

_COLUMNS = "root, path, number, scope, size, mtime_ns, as_table, whole, content"
# A document that two sources hold is looked after by the last; where it is in the order is said by the first.
_ADD = f"""
INSERT INTO found ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (root, path) DO UPDATE SET
scope = excluded.scope, size = excluded.size, mtime_ns = excluded.mtime_ns, as_table = excluded.as_table,
whole = max(whole, excluded.whole), content = excluded.content
"""


class FoundDocuments:
    """What was found in the job's sources, tables whose rows are documents as one.

    :param tables: Where it is kept.
    """

    def __init__(self, tables: JobTables) -> None:
        self._tables = tables
        self._scopes: list[Scope] = []
        self._number = 0

    def add(self, scope: Scope, files: Iterable[SourceFile]) -> int:
        """Take in what is found in a source.

        :param scope: The source.
        :param files: Its documents, by root and path.
        :returns: How many they were.
        """
        self._scopes.append(scope)
        before = self._number
        self._tables.run_many(_ADD, self._rows(scope, files))
        return self._number - before

    def get(self, key: Key) -> SourceFile | None:
        """One of them, by root and path; None if there is none."""
        row = self._tables.row(f"SELECT {_COLUMNS} FROM found WHERE root = ? AND path = ?", key)
        return None if row is None else self._source(row)

    def __contains__(self, key: Key) -> bool:
        return self._tables.row("SELECT 1 FROM found WHERE root = ? AND path = ?", key) is not None

    def count(self) -> tuple[int, int]:
        """How many there are, and how many of them are tables whose rows are documents."""
        row = self._tables.row("SELECT count(*), coalesce(sum(as_table), 0) FROM found")
        assert row is not None
        return row[0], row[1]

    def those(self, query: str, parameters: dict[str, object] | None = None) -> Iterator[SourceFile]:
        """Some of them.

        :param query: The rest of a query, from the tables on, that says which.
        :param parameters: Its parameters.
        """
        columns = ", ".join(f"found.{name}" for name in _COLUMNS.split(", "))
        for row in self._tables.rows(f"SELECT {columns} FROM {query}", parameters or {}):
            yield self._source(row)

    def _rows(self, scope: Scope, files: Iterable[SourceFile]) -> Iterator[Row]:
        root, folder, last = scope.root, _folder(scope), len(self._scopes) - 1
        for file in files:
            self._number += 1
            content, path = file.content, file.path
            # Most are files below their root: where they are is known.
            is_plain = isinstance(content, LocalFile) and content.path == folder + path
            as_table = file.columns is not None
            described = None if is_plain else to_json(content)
            yield root, path, self._number, last, file.size, file.mtime_ns, as_table, not as_table, described

    def _source(self, row: Row) -> SourceFile:
        root, path, _, number, size, mtime_ns, as_table, _, content = row
        scope = self._scopes[number]
        return SourceFile(
            root=root,
            path=path,
            content=LocalFile(_folder(scope) + path) if content is None else from_json(content),
            size=size,
            mtime_ns=mtime_ns,
            shown=scope.show(path),
            columns=scope.columns if as_table else None,
        )


def _folder(scope: Scope) -> str:
    return scope.folder.rstrip("/") + "/"
