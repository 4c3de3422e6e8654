"""Dense search by every index type: the same laws, whatever finds the neighbours."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from haystack import Document
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lodestone.components.errors import ConfigurationError
from lodestone.components.stores import FaissDocumentStore
from lodestone.components.stores.passage_table import PassageTable
from lodestone.components.stores.vector_upkeep import VectorUpkeep

COUNT, DIM = 3000, 16
TYPES = ("flat", "hnsw", "ivf")
CHANCE = np.random.default_rng(5)
CENTRES = CHANCE.standard_normal((30, DIM))
VECTORS = (CENTRES[np.arange(COUNT) % 30] + 0.6 * CHANCE.standard_normal((COUNT, DIM))).astype(np.float32)
QUERIES = (CENTRES[:20] + 0.9 * CHANCE.standard_normal((20, DIM))).astype(np.float32)


def documents(start: int, end: int) -> list[Document]:
    return [
        Document(id=str(n), content=f"word{n}", meta={"n": n, "cluster": n % 30}, embedding=VECTORS[n].tolist())
        for n in range(start, end)
    ]


def scores_of(query: Any, similarity: str = "cosine") -> Any:
    vectors = VECTORS.astype(np.float64)
    products = vectors @ query
    return (
        products if similarity == "dot_product" else products / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query)
    )


@pytest.fixture(scope="module", params=TYPES)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> FaissDocumentStore:
    store = FaissDocumentStore(tmp_path_factory.mktemp(request.param), index_type=request.param)
    store.write_documents(documents(0, COUNT))
    store.close()
    assert store.statistics()["index_type"] == request.param
    return store


def test_the_nearest_are_found_with_exact_scores(store: FaissDocumentStore) -> None:
    found_of_all = 0
    for query in QUERIES:
        scores = scores_of(query)
        found = store.embedding_retrieval(query.tolist(), top_k=10)
        assert [document.score for document in found] == pytest.approx(
            [scores[int(document.id)] for document in found], abs=1e-5
        )
        ordered = [document.score for document in found]
        assert ordered == sorted(ordered, reverse=True)
        found_of_all += len({int(document.id) for document in found} & set(np.argsort(-scores)[:10].tolist()))
    assert found_of_all >= 0.95 * 10 * len(QUERIES)
    assert store.statistics()["recall"] >= 0.98


@pytest.mark.parametrize("similarity", ["cosine", "dot_product"])
@pytest.mark.parametrize("index_type", TYPES)
def test_larger_is_better_for_every_type_and_similarity(tmp_path: Path, similarity: str, index_type: str) -> None:
    with FaissDocumentStore(tmp_path, similarity=similarity, index_type=index_type) as store:
        lengthened = [Document(id=str(n), embedding=(VECTORS[n] * (1 + n % 5)).tolist()) for n in range(1000)]
        store.write_documents(lengthened)
        store.save()
        found = store.embedding_retrieval(QUERIES[0].tolist(), top_k=5)
        factors = 1 + np.arange(1000) % 5 if similarity == "dot_product" else np.ones(1000)
        scores = scores_of(QUERIES[0], similarity)[:1000] * factors
        assert [document.id for document in found] == [str(n) for n in np.argsort(-scores)[:5]]
        assert [document.score for document in found] == pytest.approx(np.sort(scores)[::-1][:5].tolist(), rel=1e-4)


@pytest.mark.parametrize("matching", [3, 300, 2700])
@pytest.mark.parametrize("top_k", [1, 10, 100])
def test_a_filtered_search_returns_exactly_k_where_k_match(
    store: FaissDocumentStore, matching: int, top_k: int
) -> None:
    filters = {"field": "meta.n", "operator": "<", "value": matching}
    for query in QUERIES[:5]:
        found = store.embedding_retrieval(query.tolist(), filters=filters, top_k=top_k)
        assert len(found) == min(top_k, matching)
        assert all(document.meta["n"] < matching for document in found)


def test_a_filter_that_keeps_only_what_is_far_from_the_query_returns_exactly_k(store: FaissDocumentStore) -> None:
    filters = {"field": "meta.cluster", "operator": "in", "value": list(range(15, 30))}
    query = CENTRES[0]
    scores = scores_of(query)
    scores[np.arange(COUNT) % 30 < 15] = -9
    found = store.embedding_retrieval(query.tolist(), filters=filters, top_k=500)
    assert len(found) == 500
    best = set(np.argsort(-scores)[:500].tolist())
    assert len({int(document.id) for document in found} & best) >= 475


def test_as_many_as_there_are_are_found(store: FaissDocumentStore) -> None:
    assert len(store.embedding_retrieval(QUERIES[0].tolist(), top_k=COUNT + 5)) == COUNT


@pytest.mark.parametrize("index_type", TYPES)
def test_what_is_written_or_deleted_after_saving_counts_at_once(tmp_path: Path, index_type: str) -> None:
    with FaissDocumentStore(tmp_path, index_type=index_type) as store:
        store.write_documents(documents(0, 500))
        store.save()
        store.delete_documents([str(n) for n in range(100)])
        store.write_documents(documents(500, 600))
        store.delete_documents(["500"])
        for _ in range(2):
            found = store.embedding_retrieval(QUERIES[0].tolist(), top_k=1000)
            assert {document.id for document in found} == {str(n) for n in range(100, 600)} - {"500"}
            store.close()


@pytest.mark.parametrize("index_type", TYPES)
def test_equal_scores_come_in_the_order_written_from_all_types(tmp_path: Path, index_type: str) -> None:
    with FaissDocumentStore(tmp_path, index_type=index_type) as store:
        store.write_documents(documents(0, 400))
        store.write_documents([Document(id=f"same{n}", embedding=[1.0] * DIM) for n in range(150)])
        store.save()
        store.write_documents([Document(id=f"same{n}", embedding=[1.0] * DIM) for n in range(150, 300)])
        found = store.embedding_retrieval([1.0] * DIM, top_k=200)
        assert [document.id for document in found] == [f"same{n}" for n in range(200)]


def about(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "vectors.json").read_text()))


def test_compacting_takes_deleted_vectors_out(tmp_path: Path) -> None:
    for index_type in TYPES:
        folder = tmp_path / index_type
        with FaissDocumentStore(folder, index_type=index_type) as store:
            store.write_documents(documents(0, 1000))
            store.save()
            store.delete_documents([str(n) for n in range(400)])
            assert store.compact() == {
                "vectors": 600,
                "index_type": index_type,
                "recall": about(folder)["recall"],
                "freed_bytes": pytest.approx(0, abs=10_000_000),
            }
            assert about(folder)["vectors"] == 600
            assert len(store.embedding_retrieval(QUERIES[0].tolist(), top_k=1000)) == 600


@pytest.mark.parametrize("index_type", TYPES)
def test_once_no_vectors_are_left_nothing_is_saved_or_built(tmp_path: Path, index_type: str) -> None:
    with FaissDocumentStore(tmp_path, index_type=index_type) as store:
        store.write_documents(documents(0, 500))
        store.save()
        store.embedding_retrieval(QUERIES[0].tolist())
        store.delete_all_documents()
        assert store.compact()["vectors"] == 0
        assert not list(tmp_path.glob("vectors.*"))
        assert store.embedding_retrieval(QUERIES[0].tolist()) == []
        store.write_documents(documents(500, 510))
        assert len(store.embedding_retrieval(QUERIES[0].tolist(), top_k=20)) == 10


@pytest.mark.parametrize("searched", [True, False])
def test_passages_without_vectors_make_no_index_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, searched: bool
) -> None:
    monkeypatch.setattr("lodestone.components.stores.vector_index._MOST_RECENT", 20)
    with FaissDocumentStore(tmp_path, embedding_dim=DIM) as store:
        store.write_documents([Document(id=str(n), content=f"word{n}") for n in range(10)])
        if searched:
            assert store.embedding_retrieval(QUERIES[0].tolist()) == []
        started: list[Any] = []
        monkeypatch.setattr(VectorUpkeep, "start", lambda *arguments: started.append(arguments))
        store.write_documents([Document(id=str(n), content=f"word{n}") for n in range(10, 100)])
        assert store.embedding_retrieval(QUERIES[0].tolist()) == []
        assert not started
        store.write_documents(documents(100, 130))
        assert started


def test_the_type_changes_on_command_and_stays(tmp_path: Path) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents(documents(0, 1000))
        expected = [document.id for document in store.embedding_retrieval(QUERIES[0].tolist(), top_k=5)]
        for index_type in ("ivf", "hnsw", "flat", "ivf"):
            store.set_index_type(index_type)
            assert about(tmp_path)["index_type"] == index_type
            assert [document.id for document in store.embedding_retrieval(QUERIES[0].tolist(), top_k=5)] == expected
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents(documents(1000, 1100))
        store.save()
        assert (about(tmp_path)["index_type"], about(tmp_path)["vectors"]) == ("ivf", 1100)
        store.set_index_type("auto")
        assert about(tmp_path)["index_type"] == "flat"


def test_a_store_that_was_opened_with_a_type_keeps_it(tmp_path: Path) -> None:
    with FaissDocumentStore(tmp_path, index_type="hnsw") as store:
        store.write_documents(documents(0, 10))
        with pytest.raises(ConfigurationError, match="is in use with index_type 'hnsw'"):
            store.set_index_type("ivf")
        with pytest.raises(ConfigurationError, match="index_type 'hnsw', not 'auto'"):
            FaissDocumentStore(tmp_path).count_documents()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"index_type": "pq"}, "index_type must be one of auto, flat, hnsw, ivf, got 'pq'"),
        ({"target_recall": 1.5}, "target_recall must be over 0 and at most 1, got 1.5"),
        ({"device": "cuda"}, "device must be one of cpu, gpu, got 'cuda'"),
    ],
)
def test_a_wrong_setting_is_refused(tmp_path: Path, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        FaissDocumentStore(tmp_path, **parameters)


def test_the_index_is_made_anew_in_the_background_while_the_store_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lodestone.components.stores.vector_index._MOST_RECENT", 100)
    monkeypatch.setattr("lodestone.components.stores.index_types.FLAT_UP_TO", 300)
    with FaissDocumentStore(tmp_path) as store:
        for start in range(0, COUNT, 200):
            store.write_documents(documents(start, start + 200))
            query = VECTORS[start + 7]
            assert store.embedding_retrieval(query.tolist(), top_k=1)[0].id == str(start + 7)
            store.delete_documents([str(start + 8)])
        deadline = time.monotonic() + 30
        while not (tmp_path / "vectors.json").exists() or about(tmp_path)["index_type"] != "ivf":
            store.embedding_retrieval(QUERIES[0].tolist(), top_k=1)
            assert time.monotonic() < deadline
            time.sleep(0.01)
        found = {document.id for document in store.embedding_retrieval(QUERIES[0].tolist(), top_k=COUNT)}
        assert found == {str(n) for n in range(COUNT)} - {str(n) for n in range(8, COUNT, 200)}


def test_many_vectors_that_were_never_saved_are_found_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("lodestone.components.stores.vector_index._MOST_RECENT", 20)
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents(documents(0, 200))
        assert store.embedding_retrieval(VECTORS[7].tolist(), top_k=1)[0].id == "7"
        assert "lodestone store compact" not in caplog.text
        store.close()
        for name in ("vectors.faiss", "vectors.json"):
            (tmp_path / name).unlink()
        store.write_documents(documents(200, 201))
        assert store.embedding_retrieval(VECTORS[200].tolist(), top_k=1)[0].id == "200"
        assert f"201 vectors of {tmp_path} are not in its saved index" in caplog.text
        assert f"lodestone store compact --index {tmp_path}" in caplog.text


def test_a_search_that_was_interrupted_leaves_no_duplicates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = PassageTable.vectors_between

    def interrupted(table: PassageTable, after: int, until: int) -> Any:
        yield from read(table, after, until)
        raise KeyboardInterrupt

    with FaissDocumentStore(tmp_path) as store:
        store.write_documents(documents(0, 100))
        store.embedding_retrieval(QUERIES[0].tolist())
        store.write_documents(documents(100, 200))
        with monkeypatch.context() as patched:
            patched.setattr(PassageTable, "vectors_between", interrupted)
            with pytest.raises(KeyboardInterrupt):
                store.embedding_retrieval(QUERIES[0].tolist())
        found = [document.id for document in store.embedding_retrieval(QUERIES[0].tolist(), top_k=300)]
        assert sorted(found, key=int) == [str(n) for n in range(200)]


REBUILDER = textwrap.dedent(
    """
    import sys
    from lodestone.components.stores import FaissDocumentStore

    store = FaissDocumentStore(sys.argv[1])
    while True:
        for index_type in ("hnsw", "ivf", "flat"):
            store.set_index_type(index_type)
            print(index_type, flush=True)
    """
)


def test_a_kill_while_the_type_changes_loses_nothing(tmp_path: Path) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents(documents(0, COUNT))
    chance = np.random.default_rng(3)
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", REBUILDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline()
        time.sleep(chance.uniform(0, 0.4))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        with FaissDocumentStore(tmp_path) as store:
            found = store.embedding_retrieval(QUERIES[0].tolist(), top_k=COUNT)
            assert len({document.id for document in found}) == COUNT
    FaissDocumentStore(tmp_path).compact()
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize("action", ["write", "compact", "rebuild"])
def test_what_a_killed_builder_left_behind_goes(tmp_path: Path, action: str) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents(documents(0, 10))
    left = tmp_path / "vectors.faiss.0123abcd.tmp"
    left.write_bytes(b"half")
    with FaissDocumentStore(tmp_path) as store:
        assert store.count_documents() == 10
        assert left.exists()  # another process may be the writer
        if action == "write":
            store.write_documents(documents(10, 11))
        else:
            getattr(store, action)()
        assert not left.exists()


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 12)),
        st.tuples(st.just("delete"), st.integers(0, 60)),
        st.tuples(st.just("type"), st.sampled_from(["auto", *TYPES])),
        st.sampled_from([("save", 0), ("close", 0), ("compact", 0)]),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=OPERATIONS, top_k=st.integers(1, 70), limit=st.integers(0, 80), seed=st.integers(0, 999))
def test_any_history_gives_what_an_exact_search_gives(
    tmp_path_factory: pytest.TempPathFactory, operations: list[tuple[str, Any]], top_k: int, limit: int, seed: int
) -> None:
    chance = np.random.default_rng(seed)
    present: dict[int, Any] = {}
    written = 0
    with FaissDocumentStore(tmp_path_factory.mktemp("history")) as store:
        for name, value in operations:
            if name == "write":
                vectors = chance.integers(-3, 4, (value, 4)).astype(np.float32)  # with ties, and vectors of length 0
                new = {written + n: vector for n, vector in enumerate(vectors)}
                store.write_documents(
                    [Document(id=str(n), meta={"n": n}, embedding=vector.tolist()) for n, vector in new.items()]
                )
                present.update(new)
                written += value
            elif name == "delete" and present:
                store.delete_documents([str(value % written)])
                present.pop(value % written, None)
            elif name == "type":
                store.set_index_type(value)
            elif name != "delete" and store.exists():
                getattr(store, name)()
        query = chance.standard_normal(4)
        for filters, kept in (
            (None, present),
            ({"field": "meta.n", "operator": "<", "value": limit}, {n: v for n, v in present.items() if n < limit}),
        ):
            found = store.embedding_retrieval(query.tolist(), filters=filters, top_k=top_k)
            scores = {n: cosine(vector, query) for n, vector in kept.items()}
            expected = sorted(scores.values(), reverse=True)[:top_k]
            assert [document.score for document in found] == pytest.approx(expected, abs=1e-6)
            assert all(document.score == pytest.approx(scores[int(document.id)], abs=1e-6) for document in found)
            ranks = [(-(document.score or 0), int(document.id)) for document in found]
            assert ranks == sorted(ranks)


def cosine(vector: Any, query: Any) -> float:
    length = float(np.linalg.norm(vector))
    return 0.0 if length == 0 else float(vector.astype(np.float64) @ query / length / np.linalg.norm(query))


def test_the_effort_grows_with_the_recall_that_is_asked_for(tmp_path: Path) -> None:
    efforts = []
    for target in (0.5, 0.9, 1.0):
        with FaissDocumentStore(tmp_path / str(target), index_type="ivf", target_recall=target) as store:
            store.write_documents(documents(0, COUNT))
        saved = about(tmp_path / str(target))
        assert saved["recall"] >= target
        efforts.append(saved["efforts"][0][1])
    assert efforts[0] < efforts[1] < efforts[2]


def test_a_gpu_that_is_not_there_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(faiss, "StandardGpuResources", raising=False)
    with FaissDocumentStore(tmp_path, device="gpu") as store:
        store.write_documents(documents(0, 10))
        store.save()
        with pytest.raises(ConfigurationError, match=r"lodestone\[gpu\].*device: cpu"):
            store.embedding_retrieval(QUERIES[0].tolist())


def test_an_index_that_does_not_fit_the_gpu_is_not_taken_for_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1, raising=False)
    monkeypatch.setattr(faiss, "index_cpu_to_gpu", full, raising=False)
    with FaissDocumentStore(tmp_path, device="gpu") as store:
        store.write_documents(documents(0, 10))
        store.save()
        with pytest.raises(ConfigurationError, match=r"does not fit the GPU.*device: cpu.*out of memory"):
            store.embedding_retrieval(QUERIES[0].tolist())
    assert "rebuilt from the database" not in caplog.text
