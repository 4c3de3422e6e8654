"""The embedded document store: one folder, nothing to install or start beside it."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from haystack import Document, default_from_dict, default_to_dict
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy

from lodestone.components.errors import ConfigurationError
from lodestone.components.stores import statistics
from lodestone.components.stores.core import StoreCore, core_of
from lodestone.components.stores.database import Database
from lodestone.components.stores.encoding import decode_meta, encode_meta
from lodestone.components.stores.ledger import Ledger, checked_passages
from lodestone.components.stores.passage_table import VECTOR_ITEM_BYTES, PassageRow, PassageTable, to_row
from lodestone.components.stores.records import SourceRecord, SourceText
from lodestone.components.stores.settings import StoreSettings


class FaissDocumentStore:
    """Documents, their vectors and a full-text index in one folder.

    SQLite holds everything; the FAISS index and the tantivy index are derived from it, and made again when they are
    missing or damaged. A document is safe when `write_documents` returns, whatever happens to the process afterwards.

    One process writes at a time, from its first write until `close()`; any number may search meanwhile, and see what
    was written at their next search. Objects that name one folder share everything within a process. All methods may be
    called from any thread.

    ### Usage example

    ```python
    from haystack import Document
    from lodestone import FaissDocumentStore

    with FaissDocumentStore("my-index") as store:
        store.write_documents([Document(content="Paris is the capital of France.", embedding=[0.1, 0.9])])
        print(store.bm25_retrieval("capital of France")[0].content)
    ```

    :param path: The folder. It is created by the first write.
    :param embedding_dim: Length of the vectors; None for that of the first one written.
    :param similarity: "cosine", or "dot_product" for models trained for it. Embeddings are kept as given in both cases.
    :param language: Language of the full-text search, for stemming and stop words: "english", "german", ... or "none".
    :raises ConfigurationError: If a parameter is not among the valid ones.
    """

    def __init__(
        self,
        path: str | Path = ".lodestone",
        embedding_dim: int | None = None,
        similarity: str = "cosine",
        language: str = "english",
    ) -> None:
        self.path = str(path)
        self.embedding_dim = embedding_dim
        self.similarity = similarity
        self.language = language
        self._settings = StoreSettings(similarity, language, embedding_dim)
        # A relative path is taken from where the process is now, also if it changes its folder later.
        self._folder = Path(os.path.realpath(path))

    def to_dict(self) -> dict[str, Any]:
        """The store as a dictionary of its parameters."""
        return default_to_dict(
            self,
            path=self.path,
            embedding_dim=self.embedding_dim,
            similarity=self.similarity,
            language=self.language,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "FaissDocumentStore":
        """The store that `to_dict` described.

        :param data: What `to_dict` returned.
        """
        return default_from_dict(cls, data)

    def __enter__(self) -> "FaissDocumentStore":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def exists(self) -> bool:
        """Whether anything was ever written to the folder."""
        return (self._folder / "passages.sqlite").is_file()

    def save(self) -> None:
        """Write the derived indexes to the disk, unless another process is writing.

        Only opening becomes faster by it: nothing can be lost without it.
        """
        self._core.save()

    def close(self) -> None:
        """Save, let other processes write, and close all files, for all objects that share the folder.

        The store may be used again: the next call opens it.
        """
        self._core.close()

    # Haystack's protocol

    def count_documents(self) -> int:
        """How many documents there are."""
        return self.count_documents_by_filter({})

    def count_documents_by_filter(self, filters: dict[str, Any]) -> int:
        """How many documents match.

        :param filters: Haystack filters; {} for all documents.
        :raises FilterError: If the filter is malformed or cannot be applied to a document.
        """
        with self._core.reading() as database:
            return 0 if database is None else PassageTable(database).count(filters)

    def filter_documents(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """Documents that match, with their embeddings, in the order in which they were written.

        :param filters: Haystack filters; None or {} for all documents.
        :raises FilterError: If the filter is malformed or cannot be applied to a document.
        """
        with self._core.reading() as database:
            if database is None:
                return []
            table = PassageTable(database)
            rows = table.matching(filters).tolist()
            documents = table.fetch(rows, with_embedding=True)
            return [documents[row] for row in rows]

    def write_documents(self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE) -> int:
        """Write documents in one transaction: all of them or none.

        :param documents: Documents, with embeddings or without; those without are found by words only.
        :param policy: What to do if an id exists, or comes twice: FAIL (also for NONE), SKIP (the first stays),
            OVERWRITE (the last stays).
        :returns: How many documents were written.
        :raises ValueError: If `documents` is no list of documents, or one cannot be stored.
        :raises DuplicateDocumentError: If an id exists and the policy is FAIL.
        :raises LodestoneError: If another process is writing.
        """
        if not isinstance(documents, list) or not all(isinstance(document, Document) for document in documents):
            raise ConfigurationError("documents must be a list of haystack Documents")
        if not documents:
            return 0
        rows: dict[str, PassageRow] = {}
        for document in documents:
            row = to_row(document)
            if row[0] in rows and policy in (DuplicatePolicy.FAIL, DuplicatePolicy.NONE):
                raise DuplicateDocumentError(f"document id {row[0]!r} comes twice in one batch; nothing was written")
            if policy == DuplicatePolicy.OVERWRITE:
                rows.pop(row[0], None)
            rows.setdefault(row[0], row)
        with self._writing(rows.values()) as database:
            table = PassageTable(database)
            existing = table.rows_of(list(rows))
            if existing and policy == DuplicatePolicy.SKIP:
                rows = {identifier: row for identifier, row in rows.items() if identifier not in existing}
            elif existing and policy == DuplicatePolicy.OVERWRITE:
                table.delete(sorted(existing.values()))
            elif existing:
                raise DuplicateDocumentError(
                    f"document id {next(iter(existing))!r} exists; nothing was written. To replace documents, use "
                    "DuplicatePolicy.OVERWRITE; to keep them, DuplicatePolicy.SKIP"
                )
            table.insert(list(rows.values()))
        return len(rows)

    def delete_documents(self, document_ids: list[str]) -> None:
        """Delete documents; ids that do not exist are ignored.

        :param document_ids: Ids.
        """
        if not document_ids or not self.exists():
            return
        with self._core.writing() as database:
            table = PassageTable(database)
            table.delete(sorted(table.rows_of(document_ids).values()))

    def delete_all_documents(self) -> None:
        """Delete all documents, and with them the record of the files that they came from."""
        if not self.exists():
            return
        with self._core.writing() as database:
            table = PassageTable(database)
            table.delete(table.matching(None).tolist())
            Ledger(database).clear()

    def delete_by_filter(self, filters: dict[str, Any]) -> int:
        """Delete the documents that match.

        :param filters: Haystack filters.
        :returns: How many were deleted.
        :raises FilterError: If the filter is malformed or cannot be applied to a document.
        """
        if not self.exists():
            return 0
        with self._core.writing() as database:
            table = PassageTable(database)
            return table.delete(table.matching(filters).tolist())

    def update_by_filter(self, filters: dict[str, Any], meta: dict[str, Any]) -> int:
        """Set metadata of the documents that match.

        :param filters: Haystack filters.
        :param meta: Keys to set, with their new values; other keys stay.
        :returns: How many were updated.
        :raises FilterError: If the filter is malformed or cannot be applied to a document.
        """
        if not self.exists():
            return 0
        with self._core.writing() as database:
            table = PassageTable(database)
            rows = table.matching(filters).tolist()
            stored = table.stored_rows(rows)
            table.delete(rows)
            table.insert([(row[0], encode_meta({**decode_meta(row[1]), **meta}), *row[2:]) for row in stored])
        return len(rows)

    # Search

    def embedding_retrieval(
        self,
        query_embedding: list[float],
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        return_embedding: bool = False,
    ) -> list[Document]:
        """The documents nearest to a vector.

        :param query_embedding: As long as the store's vectors.
        :param filters: Haystack filters; as many as `top_k` are found where so many match.
        :param top_k: How many at most.
        :param return_embedding: Whether the documents come with their embeddings.
        :returns: Best first; `score` is the cosine similarity or the inner product; equal scores in the order written.
        :raises ConfigurationError: If the vector has another length than the store's, or `top_k` is below 1.
        :raises FilterError: If the filter is malformed or cannot be applied to a document.
        """
        _check_top_k(top_k)
        return self._core.search_vectors(query_embedding, filters, top_k, return_embedding)

    def bm25_retrieval(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int = 10, return_embedding: bool = False
    ) -> list[Document]:
        """The documents that have the query's words in their headings or content.

        :param query: Plain text: nothing in it is syntax.
        :param filters: Haystack filters; as many as `top_k` are found where so many match.
        :param top_k: How many at most.
        :param return_embedding: Whether the documents come with their embeddings.
        :returns: Best first; `score` is BM25's; equal scores in the order written.
        :raises ConfigurationError: If `top_k` is below 1.
        :raises FilterError: If the filter is malformed or cannot be applied to a document.
        """
        _check_top_k(top_k)
        return self._core.search_texts(query, filters, top_k, return_embedding)

    # The ledger of files

    def write_source(self, record: SourceRecord, texts: list[SourceText], passages: list[Document]) -> None:
        """Replace all that the store has of one file, in one transaction. See `write_sources`."""
        self.write_sources([(record, texts, passages)])

    def write_sources(self, sources: Sequence[tuple[SourceRecord, list[SourceText], list[Document]]]) -> None:
        """Replace all that the store has of some files, in one transaction.

        The files' other passages and texts are deleted; a passage that is stored just so is left as it is.

        :param sources: For each file its record, its texts, and its passages, whose meta must name it by `root` and
            `source`.
        :raises ConfigurationError: If a passage cannot be stored or names another file.
        :raises LodestoneError: If another process is writing.
        """
        checked = [(record, texts, checked_passages(record, passages)) for record, texts, passages in sources]
        if not checked:
            return
        with self._writing(row for _, _, rows in checked for row in rows) as database:
            ledger = Ledger(database)
            for record, texts, rows in checked:
                ledger.write(record, texts, rows)

    def touch_sources(self, records: Iterable[SourceRecord]) -> None:
        """Update ledger rows only, as for a file whose time has changed and whose bytes have not.

        :param records: They replace those of the same root and path.
        """
        with self._core.writing() as database:
            Ledger(database).touch(records)

    def delete_sources(self, sources: Sequence[tuple[str, str]]) -> int:
        """Delete files with their texts and passages, in one transaction.

        :param sources: Root and path of each.
        :returns: How many passages were deleted.
        """
        if not sources or not self.exists():
            return 0
        with self._core.writing() as database:
            return Ledger(database).delete(sources)

    def sources(self, root: str | None = None, prefix: str = "") -> Iterator[SourceRecord]:
        """The files of the ledger, by root and path; the store may be written to meanwhile.

        :param root: Only of this root; None for all.
        :param prefix: Only paths that start so.
        """
        last = ("", "")
        while True:
            with self._core.reading() as database:
                records = [] if database is None else Ledger(database).page(root, prefix, last)
            if not records:
                return
            yield from records
            last = (records[-1].root, records[-1].path)

    def source_text(self, source_id: str) -> str | None:
        """The converted text of a document, in which its passages' offsets count; None if it is not stored.

        :param source_id: What the passages have as `meta["source_id"]`.
        """
        with self._core.reading() as database:
            return None if database is None else Ledger(database).text(source_id)

    def roots(self) -> dict[str, str]:
        """Names of the folders that were indexed, with their absolute paths."""
        with self._core.reading() as database:
            return {} if database is None else dict(database.execute("SELECT name, path FROM roots ORDER BY name"))

    def set_root(self, name: str, absolute_path: str) -> None:
        """Remember where a root is.

        :param name: Its name.
        :param absolute_path: Its folder.
        """
        with self._core.writing() as database:
            database.execute("INSERT OR REPLACE INTO roots (name, path) VALUES (?, ?)", (name, absolute_path))

    def forget_root(self, name: str) -> None:
        """Forget where a root is; its files are not touched."""
        with self._core.writing() as database:
            database.execute("DELETE FROM roots WHERE name = ?", (name,))

    def get_setting(self, key: str) -> str | None:
        """A free setting, such as the embedding model's name; None if it was never set."""
        with self._core.reading() as database:
            rows = [] if database is None else database.execute("SELECT value FROM settings WHERE key = ?", (key,))
        return rows[0][0] if rows else None

    def set_setting(self, key: str, value: str) -> None:
        """Store a free setting."""
        with self._core.writing() as database:
            database.execute("INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)", (key, value))

    def statistics(self) -> dict[str, Any]:
        """What the store holds.

        :returns: `passages`, `vectors`, `sources` (files by state), `bytes` (on the disk, by part), `index_type`,
            `dim`, `similarity`, `language`, `last_write` (Unix time, seconds; None if never).
        """
        with self._core.reading() as database:
            return statistics.collect(database, self._folder, self._settings)

    @property
    def _core(self) -> StoreCore:
        return core_of(self._folder, self._settings)

    @contextlib.contextmanager
    def _writing(self, rows: Iterable[PassageRow]) -> Iterator[Database]:
        """A transaction for writing rows, whose vectors are of one length: the store's."""
        ids_by_dim: dict[int, str] = {}
        for row in rows:
            if row[-1] is not None:
                ids_by_dim.setdefault(len(row[-1]) // VECTOR_ITEM_BYTES, row[0])
        self._settings.check_dims(ids_by_dim)
        with self._core.writing() as database:
            self._settings.adopt_dim(database, ids_by_dim)
            yield database


def _check_top_k(top_k: int) -> None:
    if not isinstance(top_k, int) or top_k < 1:
        raise ConfigurationError(f"top_k must be at least 1, got {top_k!r}")
