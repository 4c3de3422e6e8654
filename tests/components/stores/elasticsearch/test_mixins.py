"""The store as all of Haystack's own tests for document stores see it."""

import inspect
import uuid
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from haystack import Document
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.testing import document_store as synchronous
from haystack.testing import document_store_async as asynchronous

from lodestone import ElasticsearchStore


@pytest.fixture(scope="module")
def used_store(elasticsearch_url: str) -> Iterator[ElasticsearchStore]:
    with ElasticsearchStore(elasticsearch_url, f"test-{uuid.uuid4().hex[:12]}", replicas=0) as store:
        yield store
        store.delete_all_documents(recreate_index=True)


class StoreFixture:
    """An empty store, and how documents come back from it."""

    @pytest.fixture
    def document_store(self, used_store: ElasticsearchStore) -> ElasticsearchStore:
        used_store.delete_all_documents()
        return used_store

    @staticmethod
    def assert_documents_are_equal(received: list[Document], expected: list[Document]) -> None:
        """Embeddings are stored as float32, and there is no order."""
        by_id = {document.id: as_stored(document) for document in expected}
        assert len(received) == len(expected)
        assert {document.id: document for document in received} == by_id


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
    def test_write_documents(self, document_store: ElasticsearchStore) -> None:
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
    async def test_write_documents_async(self, document_store: ElasticsearchStore) -> None:
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
