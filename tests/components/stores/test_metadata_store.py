"""What a store tells about its metadata."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from haystack import Document
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.errors import FilterError

from lodestone.components.stores import FaissDocumentStore

METAS: list[dict[str, Any]] = [
    {"kind": "a", "number": 3, "mixed": 1, "list": ["x", "y"], 'q"uote': "odd", "big": 2**70, "deep": {"er": "one"}},
    {"kind": "b", "number": 0.5, "mixed": "1", "list": ["y"], "flag": True, "big": 5, "deep": {"er": "two"}},
    {"kind": "B and more", "number": None, "mixed": 1.0, "list": ["x", "y"], "flag": False},
    {"kind": "a", "mixed": True, 'q"uote': "even", "nothing": None},
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaissDocumentStore]:
    with FaissDocumentStore(tmp_path_factory.mktemp("metadata")) as store:
        store.write_documents([Document(id=str(n), content="x", meta=meta) for n, meta in enumerate(METAS)])
        yield store


@pytest.fixture(scope="module")
def memory() -> InMemoryDocumentStore:
    memory = InMemoryDocumentStore()
    memory.write_documents([Document(id=str(n), content="x", meta=meta) for n, meta in enumerate(METAS)])
    return memory


FIELDS = ["kind", "number", "list", 'q"uote', "big", "flag", "nothing", "missing"]


@pytest.mark.parametrize("field", FIELDS)
def test_values_are_those_that_haystack_finds_in_memory(
    store: FaissDocumentStore, memory: InMemoryDocumentStore, field: str
) -> None:
    assert store.get_metadata_field_unique_values(field) == memory.get_metadata_field_unique_values(field)
    assert store.get_metadata_field_min_max(field) == memory.get_metadata_field_min_max(field)
    assert store.count_unique_metadata_by_filter({}, [field]) == memory.count_unique_metadata_by_filter({}, [field])


def test_values_of_nested_metadata_are_found_by_their_path(store: FaissDocumentStore) -> None:
    assert store.get_metadata_field_unique_values("meta.deep.er") == (["one", "two"], 2)
    assert store.get_metadata_field_min_max("deep.er") == {"min": "one", "max": "two"}


def test_values_are_searched_filtered_and_paged(store: FaissDocumentStore) -> None:
    assert store.get_metadata_field_unique_values("kind", search_term="b") == (["B and more", "b"], 2)
    assert store.get_metadata_field_unique_values("kind", from_=1, size=1) == (["a"], 3)
    numbered = {"field": "meta.number", "operator": ">", "value": 1}
    assert store.get_metadata_field_unique_values("kind", filters=numbered) == (["a"], 1)
    assert store.count_unique_metadata_by_filter(numbered, ["meta.kind", "flag"]) == {"kind": 1, "flag": 0}
    with pytest.raises(FilterError):
        store.count_unique_metadata_by_filter({"field": "meta.kind", "operator": "like", "value": "a"}, ["kind"])


def test_types_of_fields_are_told(store: FaissDocumentStore, tmp_path: Path) -> None:
    assert store.get_metadata_fields_info() == {
        "kind": {"type": "keyword"},
        "number": {"type": "float"},
        "mixed": {"type": "keyword"},
        "list": {"type": "keyword"},
        'q"uote': {"type": "keyword"},
        "big": {"type": "keyword"},
        "deep": {"type": "keyword"},
        "flag": {"type": "boolean"},
    }
    empty = FaissDocumentStore(tmp_path / "empty")
    assert empty.get_metadata_fields_info() == {}
    assert not empty.exists()
