"""Writing, deleting, counting and searching documents in Elasticsearch."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from haystack import Document, logging
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy

from lodestone.components.asynchronous import in_thread
from lodestone.components.errors import ConfigurationError
from lodestone.components.stores.elasticsearch import search, statistics
from lodestone.components.stores.elasticsearch.bulk import Action, RefusedDocumentsError
from lodestone.components.stores.elasticsearch.filters import ALL, Query, to_query
from lodestone.components.stores.elasticsearch.generations import Generation
from lodestone.components.stores.elasticsearch.metadata import MetadataIndex
from lodestone.components.stores.elasticsearch.passages import EMBEDDING, STORED, to_document, to_source, to_vector_of
from lodestone.components.stores.elasticsearch.transfer import TransferIndex
from lodestone.components.stores.fusion import Fusion, candidates_wanted
from lodestone.components.stores.settings import check_at_least_one

logger = logging.getLogger(__name__)


class DocumentIndex(TransferIndex, MetadataIndex):
    """Haystack's protocol of a document store, and searches, over the index of passages."""

    @property
    def path(self) -> str:
        """The index's URL, as messages name it."""
        return self._passages.shown

    def save(self) -> None:
        """Make all that was written visible to searches, and warn of metadata that filters cannot see."""
        if not self.exists():
            return
        self._passages.refresh()
        left_out = self._passages.count({"exists": {"field": "_ignored"}})
        if left_out:
            logger.warning(
                "{count} passages of {index} have metadata that filters cannot see, as they would be more than "
                "max_fields={limit} fields: index anew with a greater max_fields",
                count=left_out,
                index=self.path,
                limit=self._passages.settings.max_fields,
            )

    def generations(self) -> list[Generation]:
        """The indexes that stand, stood and will stand behind the alias, oldest first."""
        return self._passages.generations.listed()

    def swap(self, keep: int) -> list[str]:
        """Put the index behind `NAME-next` in the place of the one behind `NAME`, in one step.

        :param keep: How many of those that do not serve any more to keep.
        :returns: The names of those that were deleted.
        :raises ConfigurationError: If there is no index behind `NAME-next`.
        """
        deleted = self._passages.generations.swap(keep)
        self.close()
        return deleted

    def close(self) -> None:
        """Let go of the connection. The store may be used again: the next call opens it."""
        self._passages.close()

    # Haystack's protocol

    def count_documents(self) -> int:
        """How many documents there are."""
        return self.count_documents_by_filter({})

    def count_documents_by_filter(self, filters: dict[str, Any]) -> int:
        """How many documents match.

        :param filters: Haystack filters; {} for all documents.
        :raises FilterError: If the filter is malformed.
        """
        query = to_query(filters)
        return self._passages.count(query) if self.exists() else 0

    def filter_documents(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """Documents that match, with their embeddings, however many.

        :param filters: Haystack filters; None or {} for all documents.
        :raises FilterError: If the filter is malformed.
        """
        query = to_query(filters)
        if not self.exists():
            return []
        return [to_document(hit) for hits in self._passages.pages(query, [*STORED, *EMBEDDING]) for hit in hits]

    def write_documents(
        self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE, refresh: bool = True
    ) -> int:
        """Write documents.

        :param documents: Documents, with embeddings or without; those without are found by words only.
        :param policy: What to do if an id exists, or comes twice: FAIL (also for NONE; documents whose ids are new are
            written), SKIP (the first stays), OVERWRITE (the last stays).
        :param refresh: Whether they are visible to searches when this returns; otherwise some time later.
        :returns: How many documents were written.
        :raises ValueError: If `documents` is no list of documents, or one cannot be stored.
        :raises DuplicateDocumentError: If an id exists and the policy is FAIL.
        :raises RefusedDocumentsError: If Elasticsearch did not take some documents; its `reasons` say why, by id.
        :raises LodestoneError: If the cluster does not answer, or refuses to write.
        """
        if not isinstance(documents, list) or not all(isinstance(document, Document) for document in documents):
            raise ConfigurationError("documents must be a list of haystack Documents")
        if not documents:
            return 0
        overwrite, skip = policy == DuplicatePolicy.OVERWRITE, policy == DuplicatePolicy.SKIP
        chosen: dict[str, Document] = {}
        for document in documents:
            if document.id in chosen and not (overwrite or skip):
                raise DuplicateDocumentError(
                    f"document id {document.id!r} comes twice in one batch; nothing was written"
                )
            if overwrite:
                chosen.pop(document.id, None)
            chosen.setdefault(document.id, document)
        self._passages.prepare(self._dim_of(chosen.values()))
        written = self._passages.write(
            Action(
                "index" if overwrite else "create",
                self._passages.name,
                document.id,
                to_source(document, to_vector_of(document), self._passages.settings.similarity),
            )
            for document in chosen.values()
        )
        if refresh:
            self._passages.refresh(self._passages.name)
        if written.refused:
            raise RefusedDocumentsError(self.path, written.refused)
        if written.conflicts and not skip:
            raise DuplicateDocumentError(
                f"document id {written.conflicts[0]!r} exists, {len(written.conflicts)} do; all others were written. "
                "To replace documents, use DuplicatePolicy.OVERWRITE; to keep them, DuplicatePolicy.SKIP"
            )
        return written.done

    def delete_documents(self, document_ids: list[str], refresh: bool = True) -> None:
        """Delete documents; ids that do not exist are ignored.

        :param document_ids: Ids.
        :param refresh: Whether they are gone from searches when this returns; otherwise some time later.
        """
        if document_ids and self.exists():
            self._delete(document_ids, refresh)

    def delete_all_documents(self, recreate_index: bool = False, refresh: bool = True) -> None:
        """Delete all documents, and with them the record of the files that they came from.

        :param recreate_index: Whether to delete the indexes themselves, which is quick; the next write makes new ones,
            with the parameters of this store.
        :param refresh: Whether they are gone from searches when this returns; otherwise some time later.
        """
        if not self.exists():
            return
        if recreate_index:
            self._passages.drop()
            return
        self._passages.refresh()
        files = [(record.root, record.path) for record in self.sources()]
        self.delete_sources(files)
        self._delete_matching(ALL, refresh)

    def delete_by_filter(self, filters: dict[str, Any], refresh: bool = True) -> int:
        """Delete the documents that match.

        :param filters: Haystack filters.
        :param refresh: Whether they are gone from searches when this returns; otherwise some time later.
        :returns: How many were deleted.
        :raises FilterError: If the filter is malformed.
        """
        query = to_query(filters)
        return self._delete_matching(query, refresh) if self.exists() else 0

    def update_by_filter(self, filters: dict[str, Any], meta: dict[str, Any], refresh: bool = True) -> int:
        """Set metadata of the documents that match.

        :param filters: Haystack filters.
        :param meta: Keys to set, with their new values; other keys stay.
        :param refresh: Whether searches see the change when this returns; otherwise some time later.
        :returns: How many were updated.
        :raises FilterError: If the filter is malformed.
        """
        found = self.filter_documents(filters)
        documents = [replace(document, meta={**document.meta, **meta}) for document in found]
        return self.write_documents(documents, DuplicatePolicy.OVERWRITE, refresh)

    def _delete(self, document_ids: Iterable[str], refresh: bool) -> int:
        written = self._passages.write(
            Action("delete", self._passages.name, name) for name in dict.fromkeys(document_ids)
        )
        if refresh:
            self._passages.refresh(self._passages.name)
        return written.done

    def _delete_matching(self, query: Query, refresh: bool) -> int:
        names = self._passages.ids(query)
        return self._delete(names, refresh) if names else 0

    def _dim_of(self, documents: Iterable[Document]) -> int | None:
        """The length of the documents' vectors, which must be one."""
        dim = None
        for document in documents:
            if document.embedding is None:
                continue
            dim = len(document.embedding) if dim is None else dim
            if len(document.embedding) != dim:
                raise ConfigurationError(
                    f"document {document.id!r} has an embedding of {len(document.embedding)} dimensions, expected "
                    f"{dim}; nothing was written. Use one embedding model for a store"
                )
        return dim

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
        :param top_k: How many at most, up to 10,000.
        :param return_embedding: Whether the documents come with their embeddings.
        :returns: Best first; `score` is the cosine similarity or the inner product.
        :raises ConfigurationError: If the vector has another length than the store's, or `top_k` is below 1.
        :raises FilterError: If the filter is malformed.
        """
        check_at_least_one("top_k", top_k)
        return search.nearest(self._passages, query_embedding, filters, top_k, return_embedding)

    def bm25_retrieval(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int = 10, return_embedding: bool = False
    ) -> list[Document]:
        """The documents that have the query's words in their headings or content.

        :param query: Any text. A phrase in quotes must occur; where no document has all phrases, their words count like
            any. Nothing else is syntax.
        :param filters: Haystack filters; as many as `top_k` are found where so many match.
        :param top_k: How many at most, up to 10,000.
        :param return_embedding: Whether the documents come with their embeddings.
        :returns: Best first; `score` is BM25's.
        :raises ConfigurationError: If `top_k` is below 1.
        :raises FilterError: If the filter is malformed.
        """
        check_at_least_one("top_k", top_k)
        return search.best_by_words(self._passages, query, filters, top_k, return_embedding)

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
        """The best documents by vectors and by words together, joined on our side: it needs no licence.

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
        :raises FilterError: If the filter is malformed.
        """
        check_at_least_one("top_k", top_k)
        wanted = candidates_wanted(top_k, candidates)
        return search.best_by_both(
            self._passages, query, query_embedding, filters, top_k, wanted, fusion, return_embedding
        )

    def statistics(self) -> dict[str, Any]:
        """What the store holds. See `statistics.collect`."""
        return statistics.collect(self._passages)

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
