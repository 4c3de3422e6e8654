"""Documents go in and come out as they were; parameters and duplicates are checked."""

import math
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from haystack import Document, Pipeline
from haystack.components.writers import DocumentWriter
from haystack.core.serialization import allow_deserialization_module
from haystack.dataclasses import ByteStream, SparseEmbedding
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy
from hypothesis import given
from hypothesis import strategies as st

from lodestone.components.errors import ConfigurationError
from lodestone.components.stores import FaissDocumentStore, filters, passage_table
from lodestone.components.stores.encoding import decode_meta, encode_meta

META = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("$lodestone"), inner),
    max_leaves=10,
)


@given(meta=st.dictionaries(st.text() | st.just("$lodestone"), META))
def test_metadata_comes_back_as_it_was(meta: dict[str, Any]) -> None:
    assert decode_meta(encode_meta(meta)) == meta


def test_every_field_of_a_document_comes_back(tmp_path: Path) -> None:
    document = Document(
        id="a",
        content="content with NUL \0 and 🦀",
        blob=ByteStream(data=b"\x00\xff", meta={"name": "x"}, mime_type="image/png"),
        meta={"nested": {"list": [1, 2.5, None, True, "x"]}, "big": 2**80, "inf": math.inf},
        score=0.25,
        embedding=[0.5, -1.0],
        sparse_embedding=SparseEmbedding(indices=[1, 5], values=[0.5, 0.25]),
    )
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents([document])
        store.close()
        assert store.filter_documents() == [document]


def test_what_json_does_not_know_is_written_in_its_nearest_form(tmp_path: Path) -> None:
    meta = {
        "day": datetime(2025, 2, 3),
        "tuple": (1, 2),
        "numpy": np.float32(0.5),
        "nan": math.nan,
        "path": Path("a/b"),
    }
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents([Document(id="a", content="lone \ud800 surrogate", meta=meta)])
        found = store.filter_documents()[0]
    assert found.content == "lone \ufffd surrogate"
    assert math.isnan(found.meta.pop("nan"))
    assert found.meta == {"day": "2025-02-03T00:00:00", "tuple": [1, 2], "numpy": 0.5, "path": "a/b"}


@pytest.mark.parametrize(
    ("policy", "count", "kept"),
    [
        (DuplicatePolicy.SKIP, 1, {"old": "old", "new": "first"}),
        (DuplicatePolicy.OVERWRITE, 2, {"old": "x", "new": "last"}),
    ],
)
def test_duplicates_within_a_batch_are_one_document(
    tmp_path: Path, policy: DuplicatePolicy, count: int, kept: dict[str, str]
) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents([Document(id="old", content="old", embedding=[1.0])])
        batch = [
            Document(id="new", content="first", embedding=[1.0]),
            Document(id="old", content="x", embedding=[1.0]),
            Document(id="new", content="last", embedding=[1.0]),
        ]
        assert store.write_documents(batch, policy=policy) == count
        assert {document.id: document.content for document in store.filter_documents()} == kept
        assert len(store.embedding_retrieval([1.0])) == 2


@pytest.mark.parametrize("policy", [DuplicatePolicy.FAIL, DuplicatePolicy.NONE])
def test_duplicates_within_a_batch_fail_before_anything_is_written(tmp_path: Path, policy: DuplicatePolicy) -> None:
    with FaissDocumentStore(tmp_path) as store:
        with pytest.raises(DuplicateDocumentError, match="twice"):
            store.write_documents([Document(id="a"), Document(id="b"), Document(id="a", content="x")], policy=policy)
        assert store.count_documents() == 0


def test_an_update_changes_what_is_searched(tmp_path: Path) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents([Document(id="a", content="x", embedding=[1.0]), Document(id="b", content="y")])
        condition = {"field": "id", "operator": "==", "value": "a"}
        assert store.update_by_filter(condition, {"headings": ["Lighthouse"]}) == 1
        assert [document.id for document in store.bm25_retrieval("lighthouse")] == ["a"]
        assert [document.id for document in store.embedding_retrieval([1.0])] == ["a"]
        assert len(store.filter_documents()) == 2


def test_ids_that_share_a_key_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (passage_table, filters):
        monkeypatch.setattr(module, "key_of", len)
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents([Document(id=name, content=name) for name in ("one", "two", "three")])
        assert store.write_documents([Document(id="six", content="six")]) == 1
        with pytest.raises(DuplicateDocumentError, match="'two' exists"):
            store.write_documents([Document(id="two", content="again")])
        store.write_documents([Document(id="one", content="new")], policy=DuplicatePolicy.OVERWRITE)
        store.delete_documents(["two", "ten"])
        assert {document.content for document in store.filter_documents()} == {"three", "six", "new"}
        for value, found in (("one", ["new"]), ("two", []), ("three", ["three"])):
            hits = store.filter_documents({"field": "id", "operator": "==", "value": value})
            assert [hit.content for hit in hits] == found
        assert len(store.filter_documents({"field": "id", "operator": "not in", "value": ["one", "ten"]})) == 2


def test_an_id_that_is_there_twice_is_found_by_verifying(tmp_path: Path) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents([Document(id="a", content="x")])
    connection = sqlite3.connect(tmp_path / "passages.sqlite")
    with connection:
        connection.execute(
            "INSERT INTO passages SELECT 2, id, meta, score, content, extra, blob, checksum, key FROM passages"
        )
    connection.close()
    assert FaissDocumentStore(tmp_path).verify().database_problems == ["passages.sqlite: there twice: the passage a"]


def test_texts_and_numbers_are_not_mixed_up(tmp_path: Path) -> None:
    def found(field: str, operator: str, value: object) -> int:
        return store.count_documents_by_filter({"field": field, "operator": operator, "value": value})

    with FaissDocumentStore(tmp_path) as store:
        store.write_documents([Document(id="5", content="7", score=0.5)])
        assert [found("id", "==", value) for value in ("5", 5, 5.0)] == [1, 0, 0]
        assert [found("content", "in", [value]) for value in ("7", 7, 7.0)] == [1, 0, 0]
        assert [found("score", "==", value) for value in (0.5, "0.5", " 0.5")] == [1, 0, 0]
        assert [found("id", "!=", 5), found("score", "not in", ["0.5"])] == [1, 1]


def test_ids_with_strange_characters_are_not_mixed_up(tmp_path: Path) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents([Document(id="a"), Document(id='a"]'), Document(id="é")])
        store.delete_documents(["a\0b", "x'y", 'a"]'])
        assert [document.id for document in store.filter_documents()] == ["a", "é"]
        with pytest.raises(ConfigurationError, match="NUL"):
            store.write_documents([Document(id="a\0b")])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"similarity": "l2"}, "similarity must be one of cosine, dot_product, got 'l2'"),
        ({"language": "klingon"}, "language must be one of arabic, .*none, got 'klingon'"),
        ({"embedding_dim": 0}, "embedding_dim must be at least 1, or None, got 0"),
    ],
)
def test_a_wrong_parameter_is_refused(tmp_path: Path, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        FaissDocumentStore(tmp_path, **parameters)


def test_to_dict_and_from_dict(tmp_path: Path) -> None:
    data = {
        "type": "lodestone.components.stores.faiss_document_store.FaissDocumentStore",
        "init_parameters": {
            "path": str(tmp_path / "index"),
            "embedding_dim": 384,
            "similarity": "dot_product",
            "language": "german",
            "index_type": "ivf",
            "target_recall": 0.9,
            "device": "cpu",
        },
    }
    store = FaissDocumentStore(tmp_path / "index", 384, "dot_product", "german", index_type="ivf", target_recall=0.9)
    assert store.to_dict() == data
    assert FaissDocumentStore.from_dict(data).to_dict() == data
    assert FaissDocumentStore().to_dict()["init_parameters"]["path"] == ".lodestone"


def test_a_writer_and_a_reader_loaded_from_yaml_share_the_store(tmp_path: Path) -> None:
    allow_deserialization_module("lodestone")
    pipeline = Pipeline()
    pipeline.add_component("writer", DocumentWriter(FaissDocumentStore(tmp_path)))
    loaded = Pipeline.loads(pipeline.dumps())
    loaded.run({"writer": {"documents": [Document(id="a", content="word")]}})
    store = FaissDocumentStore(tmp_path)
    assert len(store.bm25_retrieval("word")) == 1
    store.close()
