"""Stores on a real server."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from elasticsearch_server import NewStore

from lodestone import ElasticsearchStore


@pytest.fixture
def new_store(elasticsearch_url: str) -> Iterator[NewStore]:
    """Makes stores; each is over a new index unless it is told which, and all indexes are removed in the end."""
    stores = []

    def make(index: str | None = None, **parameters: Any) -> ElasticsearchStore:
        name = f"test-{uuid.uuid4().hex[:12]}" if index is None else index
        defaults = {"hosts": elasticsearch_url, "replicas": 0, "max_retries": 1}
        store = ElasticsearchStore(index=name, **(defaults | parameters))
        stores.append(store)
        return store

    yield make
    names = {f"{store.index}*" for store in stores}
    client = ElasticsearchStore(elasticsearch_url).client
    for name in names:
        found = client.indices.get(index=name, allow_no_indices=True, expand_wildcards="all").body
        if found:
            client.indices.delete(index=sorted(found))
    client.close()
    for store in stores:
        store.close()


@pytest.fixture
def store(new_store: NewStore) -> ElasticsearchStore:
    """A store over a new index."""
    return new_store()
