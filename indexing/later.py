"""Documents that a job comes to after all others, on the disk."""

import json
from collections.abc import Iterator
from dataclasses import fields

from lodestone.indexing.contents import from_json, to_json
from lodestone.indexing.job_tables import JobTables
from lodestone.indexing.sources import SourceFile

_DESCRIBED = [each.name for each in fields(SourceFile) if each.name not in ("content", "columns")]


class Later:
    """Documents that are put off, in the order in which they were.

    :param tables: Where they are kept.
    """

    def __init__(self, tables: JobTables) -> None:
        self._tables = tables

    def add(self, source: SourceFile) -> None:
        """Put off a document.

        :param source: The document, no table whose rows are documents.
        """
        values = {name: getattr(source, name) for name in _DESCRIBED}
        document = json.dumps([values, to_json(source.content)])
        sql = "INSERT INTO later (root, path, document) VALUES (?, ?, ?)"
        self._tables.run(sql, (source.root, source.path, document))

    def __len__(self) -> int:
        row = self._tables.row("SELECT count(*) FROM later")
        return 0 if row is None else int(row[0])

    def __iter__(self) -> Iterator[SourceFile]:
        for (document,) in self._tables.rows("SELECT document FROM later ORDER BY number"):
            values, content = json.loads(document)
            yield SourceFile(**values, content=from_json(content))
