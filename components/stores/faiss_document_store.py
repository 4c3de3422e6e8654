"""The embedded document store: one folder, nothing to install or start beside it."""

from pathlib import Path
from types import TracebackType
from typing import Any

from haystack import Document, default_from_dict, default_to_dict
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy

from lodestone.components.asynchronous import in_thread
from lodestone.components.errors import ConfigurationError
from lodestone.components.stores import statistics
from lodestone.components.stores.encoding import decode_meta, encode_meta
from lodestone.components.stores.fusion import Fusion, candidates_wanted
from lodestone.components.stores.hybrid_search import search_both
from lodestone.components.stores.ledger import Ledger
from lodestone.components.stores.maintenance import MaintainedStore
from lodestone.components.stores.metadata_store import MetadataStore
from lodestone.components.stores.passage_table import PassageRow, PassageTable, to_row
from lodestone.components.stores.settings import StoreSettings, check_at_least_one


class FaissDocumentStore(MetadataStore, MaintainedStore):
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
    :param index_type: How vectors are searched: "flat" compares all, exactly; "ivf" looks into the nearest clusters,
        for millions; "hnsw" walks a graph, which is slow to build. "auto" is what `set_index_type` has set in the
        folder, or else flat up to 100,000 vectors and ivf beyond.
    :param target_recall: Share of the true ten nearest that "ivf" and "hnsw" are to find, over 0 and at most 1. How
        hard they look for that is measured when the index is built.
    :param device: "cpu", or "gpu" to search vectors on the first GPU, which needs a faiss that was built for it.
    :raises ConfigurationError: If a parameter is not among the valid ones.
    """

    def __init__(
        self,
        path: str | Path = ".lodestone",
        embedding_dim: int | None = None,
        similarity: str = "cosine",
        language: str = "english",
        index_type: str = "auto",
        target_recall: float = 0.98,
        device: str = "cpu",
    ) -> None:
        self.path = str(path)
        self.embedding_dim = embedding_dim
        self.similarity = similarity
        self.language = language
        self.index_type = index_type
        self.target_recall = target_recall
        self.device = device
        settings = StoreSettings(similarity, language, embedding_dim, index_type, target_recall, device)
        super().__init__(path, settings)

    def to_dict(self) -> dict[str, Any]:
        """The store as a dictionary of its parameters."""
        return default_to_dict(
            self,
            path=self.path,
            embedding_dim=self.embedding_dim,
            similarity=self.similarity,
            language=self.language,
            index_type=self.index_type,
            target_recall=self.target_recall,
            device=self.device,
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

    def delete_all_documents(self, recreate_index: bool = False) -> None:
        """Delete all documents, and with them the record of the files that they came from.

        :param recreate_index: Whether to also make the search indexes anew, which frees their space at once.
        :raises LodestoneError: If another process is writing.
        """
        if not self.exists():
            return
        with self._core.writing() as database:
            table = PassageTable(database)
            table.delete(table.matching(None).tolist())
            Ledger(database).clear()
        if recreate_index:
            self._core.rebuild()

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
        check_at_least_one("top_k", top_k)
        return self._core.search_vectors(query_embedding, filters, top_k, return_embedding)

    def bm25_retrieval(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int = 10, return_embedding: bool = False
    ) -> list[Document]:
        """The documents that have the query's words in their headings or content.

        :param query: Any text. A phrase in quotes must occur as it stands, its words in any form that has the same
            stem; where no document has all phrases, their words count like any. Nothing else is syntax.
        :param filters: Haystack filters; as many as `top_k` are found where so many match.
        :param top_k: How many at most.
        :param return_embedding: Whether the documents come with their embeddings.
        :returns: Best first; `score` is BM25's; equal scores in the order written.
        :raises ConfigurationError: If `top_k` is below 1.
        :raises FilterError: If the filter is malformed or cannot be applied to a document.
        """
        check_at_least_one("top_k", top_k)
        return self._core.search_texts(query, filters, top_k, return_embedding)

    def hybrid_retrieval(
        self,
        query: str,
        query_embedding: list[float],
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        candidates: int | None = None,
        fusion: Fusion = Fusion(),  # noqa: B008  frozen
        return_embedding: bool = False,
    ) -> list[Document]:
        """The best documents by vectors and by words together.

        :param query: Any text, as for `bm25_retrieval`; documents without a phrase in quotes can be found by vectors.
        :param query_embedding: As long as the store's vectors.
        :param filters: Haystack filters; as many as `top_k` are found where so many match.
        :param top_k: How many at most.
        :param candidates: How many to take from each side, at least `top_k`; None for max(50, 3 * top_k).
        :param fusion: How to join the two sides.
        :param return_embedding: Whether the documents come with their embeddings.
        :returns: Best first; `score` is the fused one. `meta["retrieval"]`, which is not stored, has `dense_rank` and
            `bm25_rank` (from 1, None if the document is not among the candidates of that side), `dense_score` (None
            without a vector) and `bm25_score` (None if it has none of the words).
        :raises ConfigurationError: If the vector has another length than the store's, or a number is below 1.
        :raises FilterError: If the filter is malformed or cannot be applied to a document.
        """
        check_at_least_one("top_k", top_k)
        wanted = candidates_wanted(top_k, candidates)
        return search_both(self._core, query, query_embedding, filters, top_k, wanted, fusion, return_embedding)

    def statistics(self) -> dict[str, Any]:
        """What the store holds.

        :returns: `passages`, `vectors`, `sources` (files by state), `bytes` (on the disk, by part), `index_type`,
            `dim`, `similarity`, `language`, `last_write` (Unix time, seconds; None if never).
        """
        with self._core.reading() as database:
            return statistics.collect(database, self._folder, self._settings)

    # The same in a thread, for event loops

    count_documents_async = in_thread(count_documents)
    count_documents_by_filter_async = in_thread(count_documents_by_filter)
    filter_documents_async = in_thread(filter_documents)
    write_documents_async = in_thread(write_documents)
    delete_documents_async = in_thread(delete_documents)
    delete_all_documents_async = in_thread(delete_all_documents)
    delete_by_filter_async = in_thread(delete_by_filter)
    update_by_filter_async = in_thread(update_by_filter)
    embedding_retrieval_async = in_thread(embedding_retrieval)
    bm25_retrieval_async = in_thread(bm25_retrieval)
    hybrid_retrieval_async = in_thread(hybrid_retrieval)
