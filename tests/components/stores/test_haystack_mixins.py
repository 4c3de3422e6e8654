"""The store as all of Haystack's own tests for document stores see it."""

import asyncio
import inspect
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from haystack import Document
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.testing import document_store as synchronous
from haystack.testing import document_store_async as asynchronous

from lodestone.components.stores import FaissDocumentStore


class StoreFixture:
    """A new store, and how documents come back from it."""

    @pytest.fixture
    def document_store(self, tmp_path: Path) -> Iterator[FaissDocumentStore]:
        with FaissDocumentStore(tmp_path / "index") as store:
            yield store

    @staticmethod
    def assert_documents_are_equal(received: list[Document], expected: list[Document]) -> None:
        """Embeddings are stored as float32."""
        assert received == [as_stored(document) for document in expected]


def as_stored(document: Document) -> Document:
    if document.embedding is None:
        return document
    return replace(document, embedding=np.asarray(document.embedding, dtype=np.float32).tolist())


class TestSynchronous(
    StoreFixture,
    synchronous.DocumentStoreBaseExtendedTests,
    synchronous.CountDocumentsByFilterTest,
    synchronous.CountUniqueMetadataByFilterTest,
    synchronous.GetMetadataFieldsInfoTest,
    synchronous.GetMetadataFieldMinMaxTest,
    synchronous.GetMetadataFieldUniqueValuesTest,
):
    def test_write_documents(self, document_store: FaissDocumentStore) -> None:
        document = Document(content="test doc")
        assert document_store.write_documents([document]) == 1
        with pytest.raises(DuplicateDocumentError):
            document_store.write_documents([document])
        self.assert_documents_are_equal(document_store.filter_documents(), [document])


class TestAsynchronous(
    StoreFixture,
    asynchronous.CountDocumentsAsyncTest,
    asynchronous.WriteDocumentsAsyncTest,
    asynchronous.DeleteDocumentsAsyncTest,
    asynchronous.FilterDocumentsAsyncTest,
    asynchronous.DeleteAllAsyncTest,
    asynchronous.DeleteByFilterAsyncTest,
    asynchronous.UpdateByFilterAsyncTest,
    asynchronous.CountDocumentsByFilterAsyncTest,
    asynchronous.CountUniqueMetadataByFilterAsyncTest,
    asynchronous.GetMetadataFieldsInfoAsyncTest,
    asynchronous.GetMetadataFieldMinMaxAsyncTest,
    asynchronous.GetMetadataFieldUniqueValuesAsyncTest,
    synchronous.FilterableDocsFixtureMixin,
):
    @pytest.mark.asyncio
    async def test_write_documents_async(self, document_store: FaissDocumentStore) -> None:
        document = Document(content="test doc")
        assert await document_store.write_documents_async([document]) == 1
        with pytest.raises(DuplicateDocumentError):
            await document_store.write_documents_async([document])
        self.assert_documents_are_equal(await document_store.filter_documents_async(), [document])


@pytest.mark.parametrize(
    ("module", "tests"), [(synchronous, TestSynchronous), (asynchronous, TestAsynchronous)], ids=["sync", "async"]
)
def test_no_mixin_of_haystack_is_left_out(module: object, tests: type) -> None:
    mixins = {cls for _, cls in inspect.getmembers(module, inspect.isclass) if cls.__name__.endswith(("Test", "Tests"))}
    assert {cls.__name__ for cls in mixins if not issubclass(tests, cls)} == set()


def test_every_search_has_an_asynchronous_form_of_the_same_signature() -> None:
    for name in ("embedding_retrieval", "bm25_retrieval", "hybrid_retrieval", "count_unique_metadata_by_filter"):
        one, other = getattr(FaissDocumentStore, name), getattr(FaissDocumentStore, f"{name}_async")
        assert inspect.iscoroutinefunction(other)
        assert inspect.signature(one) == inspect.signature(other)
        assert other.__name__ == f"{name}_async"


def test_searches_and_writes_run_beside_each_other_in_an_event_loop(tmp_path: Path) -> None:
    async def work(store: FaissDocumentStore) -> list[int]:
        async def one(n: int) -> int:
            await store.write_documents_async([Document(id=str(n), content=f"word n{n}", embedding=[1.0, float(n)])])
            await store.hybrid_retrieval_async("word", [1.0, 0.0])
            return len(await store.bm25_retrieval_async(f"n{n}"))

        return await asyncio.gather(*(one(n) for n in range(20)))

    with FaissDocumentStore(tmp_path) as store:
        assert asyncio.run(work(store)) == [1] * 20
        assert len(asyncio.run(store.embedding_retrieval_async([1.0, 0.0], top_k=100))) == 20
