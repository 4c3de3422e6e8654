"""Jobs on a Ray cluster: two nodes on this machine."""

import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from haystack import Pipeline
from haystack.components.converters import TextFileToDocument
from haystack.components.writers import DocumentWriter
from hostile_converter import HostileConverter
from logged_embedder import LoggedEmbedder
from ray.cluster_utils import Cluster

from lodestone import ElasticsearchStore, FaissDocumentStore
from lodestone.components.errors import ConfigurationError, LodestoneError
from lodestone.components.stores.source_store import SourceStore
from lodestone.indexing import IndexingJob, Limits, Report, Settings
from lodestone.indexing.executors import LocalExecutor, RayExecutor, make_executor
from lodestone.indexing.executors.ray_cluster import Shares, shares
from lodestone.indexing.progress import FileDone, Progress
from lodestone.pipelines import load_pipeline
from lodestone.pipelines.stages import IndexingStages, cut_at_embedder

REPOSITORY = Path(__file__).resolve().parents[3]
CORPUS = REPOSITORY / "examples" / "corpus"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    before = dict(os.environ)
    # Ray's processes are started as a user would: with what this one has, and no path of its own.
    os.environ["PYTHONPATH"] = os.pathsep.join(map(str, [REPOSITORY, REPOSITORY / "tests" / "support"]))
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "object_store_memory": 150 * 2**20})
    made.add_node(num_cpus=2)
    try:
        yield made
    finally:
        made.shutdown()
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(200):
        (folder / f"{number:03}.txt").write_text(f"This is file number {number} of a folder of texts.\n")
    return folder


class Told(Progress):
    """Calls a function with the number of files that are done."""

    def __init__(self, call: Callable[[int], None], before: Callable[[], None] = lambda: None) -> None:
        self._call = call
        self._before = before
        self._done = 0

    def start(self, files: int, size: int, left_out: Sequence[FileDone]) -> None:
        self._before()

    def done(self, file: FileDone) -> None:
        self._done += 1
        self._call(self._done)


def stages(store: Any, converter: Any, embedder: Any = None) -> IndexingStages:
    """A pipeline without a model."""
    pipeline = Pipeline()
    pipeline.add_component("converter", converter)
    pipeline.add_component("writer", DocumentWriter(store))
    last = "converter"
    if embedder is not None:
        pipeline.add_component("embedder", embedder)
        pipeline.connect("converter.documents", "embedder.documents")
        last = "embedder"
    pipeline.connect(f"{last}.documents", "writer.documents")
    return cut_at_embedder(pipeline)


def held(store: Any) -> dict[str, tuple[Any, ...]]:
    """The passages and the ledger of a store, without times."""
    passages = {doc.id: (doc.content, doc.meta, list(doc.embedding or [])) for doc in store.filter_documents()}
    ledger: SourceStore = store
    records = {
        f"{record.root}/{record.path}": (record.state, record.content_hash, record.passages, record.error)
        for record in ledger.sources()
    }
    return passages | records


def content(index: Path) -> dict[str, tuple[Any, ...]]:
    with FaissDocumentStore(str(index)) as store:
        return held(store)


def test_the_index_of_the_examples_is_that_of_a_local_job(
    cluster: Cluster, example_index: Path, tmp_path: Path
) -> None:
    made = cut_at_embedder(load_pipeline("indexing_faiss", index=tmp_path / "index"))
    report = IndexingJob(made, executor=RayExecutor(cluster.address)).run([CORPUS])
    made.document_store.close()
    assert report.complete
    assert content(tmp_path / "index") == content(example_index)


def test_what_is_unchanged_stays_and_what_changed_or_cannot_be_read_is_told(
    cluster: Cluster, texts: Path, tmp_path: Path
) -> None:
    def run(executor: Any, progress: Any = None) -> Report:
        made = stages(FaissDocumentStore(str(tmp_path / "index")), HostileConverter())
        settings = Settings(limits=Limits(seconds=1))
        report = IndexingJob(made, progress, settings, executor=executor).run([texts])
        made.document_store.close()
        return report

    for name, text in {"000": "crash", "001": "loop"}.items():
        (texts / f"{name}.txt").write_text(text)
    first = run(LocalExecutor())
    (texts / "002.txt").write_text("Another text.")
    os.utime(texts / "003.txt", (1, 1))
    (texts / "004.txt").write_text("It will be gone, as on a machine that does not see it.")
    report = run(RayExecutor(cluster.address), Told(lambda done: None, (texts / "004.txt").unlink))
    assert [outcome.reason for outcome in report.failed[:2]] == [outcome.reason for outcome in first.failed]
    assert "every machine of the cluster must see the files under the same paths" in report.failed[2].reason
    assert "what was indexed of it stays" in report.failed[2].reason
    assert (report.files, report.indexed, report.unchanged, report.deleted) == (200, 1, 196, 0)
    after = {meta["source"]: text for text, meta, *_ in content(tmp_path / "index").values() if isinstance(meta, dict)}
    assert after["002.txt"] == "Another text."
    assert after["004.txt"].startswith("This is file number 4")


def test_copies_are_those_of_a_local_job_and_ray_is_reached_once_for_all_of_them(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    docs, reached, init = tmp_path / "docs", [], ray.init
    docs.mkdir()
    monkeypatch.setattr(ray, "init", lambda *given, **named: (reached.append(1), init(*given, **named))[1])

    def run(name: str, executor: Any) -> Report:
        made = stages(FaissDocumentStore(str(tmp_path / name)), TextFileToDocument())
        report = IndexingJob(made, executor=executor).run([docs])
        made.document_store.close()
        return report

    for name in ("a", "b", "c", "d"):
        (docs / f"{name}.txt").write_text("the same" if name != "d" else "another")
    for name, executor in (("ray", RayExecutor(cluster.address)), ("local", LocalExecutor())):
        assert (run(name, executor).indexed, len(reached)) == (2, 1)
    (docs / "a.txt").write_text("changed")
    (docs / "new.txt").write_text("new")
    for name, executor in (("ray", RayExecutor(cluster.address)), ("local", LocalExecutor())):
        assert (run(name, executor).indexed, len(reached)) == (3, 2)
    assert content(tmp_path / "ray") == content(tmp_path / "local")
    assert not ray.is_initialized()


def test_a_node_that_is_killed_loses_nothing_and_doubles_nothing(cluster: Cluster, texts: Path, tmp_path: Path) -> None:
    node = cluster.add_node(num_cpus=2)
    log, killed = tmp_path / "log", []
    raylet = node.all_processes["raylet"][0].process.pid

    def kill_when_it_works(done: int) -> None:
        if not killed and any(int(line.split()[1]) == raylet for line in log.read_text().splitlines()):
            killed.append(done)
            cluster.remove_node(node, allow_graceful=False)

    made = stages(
        FaissDocumentStore(str(tmp_path / "index")), TextFileToDocument(), LoggedEmbedder(str(log), seconds=0.3)
    )
    job = IndexingJob(made, Told(kill_when_it_works), Settings(batch_files=4), executor=RayExecutor(cluster.address))
    report = job.run([texts])
    made.document_store.close()
    assert killed
    assert killed[0] < 200
    assert (report.indexed, report.passages, report.complete) == (200, 200, True)

    alone = stages(FaissDocumentStore(str(tmp_path / "alone")), TextFileToDocument(), LoggedEmbedder(str(log)))
    IndexingJob(alone).run([texts])
    alone.document_store.close()
    assert content(tmp_path / "index") == content(tmp_path / "alone")


def test_sigterm_ends_a_job_in_good_order_and_the_next_one_goes_on(
    cluster: Cluster, texts: Path, tmp_path: Path
) -> None:
    def run(call: Callable[[int], None]) -> Report:
        made = stages(
            FaissDocumentStore(str(tmp_path / "index")),
            TextFileToDocument(),
            LoggedEmbedder(str(tmp_path / "log"), 0.1),
        )
        job = IndexingJob(made, Told(call), Settings(batch_files=4), executor=RayExecutor(cluster.address))
        report = job.run([texts])
        made.document_store.close()
        return report

    stopped = run(lambda done: os.kill(os.getpid(), signal.SIGTERM) if done == 8 else None)
    assert stopped.stopped
    assert 8 <= stopped.indexed < 200
    resumed = run(lambda done: None)
    assert (resumed.unchanged, resumed.indexed) == (stopped.indexed, 200 - stopped.indexed)
    assert len(content(tmp_path / "index")) == 400


def test_actors_write_into_elasticsearch(cluster: Cluster, elasticsearch_url: str, texts: Path, tmp_path: Path) -> None:
    def run(index: str, executor: Any) -> dict[str, tuple[Any, ...]]:
        store = ElasticsearchStore(elasticsearch_url, f"test-ray-{index}-{time.time_ns()}")
        made = stages(store, TextFileToDocument(), LoggedEmbedder(str(tmp_path / "log")))
        try:
            report = IndexingJob(made, settings=Settings(batch_files=16), executor=executor).run([texts])
            assert (report.indexed, report.passages, report.complete) == (200, 200, True)
            return held(store)
        finally:
            store.delete_all_documents(recreate_index=True)
            store.close()

    assert run("ray", RayExecutor(cluster.address)) == run("local", LocalExecutor())


def test_an_embedder_that_cannot_be_made_is_told_in_a_line(cluster: Cluster, texts: Path, tmp_path: Path) -> None:
    made = stages(FaissDocumentStore(str(tmp_path / "index")), TextFileToDocument(), BrokenEmbedder())
    with pytest.raises(LodestoneError, match=r"an embedder cannot be started in the cluster: .*"):
        IndexingJob(made, executor=RayExecutor(cluster.address)).run([texts])
    made.document_store.close()


class BrokenEmbedder(LoggedEmbedder):
    """Cannot be made on another machine: its module is not there."""

    def __init__(self) -> None:
        super().__init__("log")


def test_the_command_starts_ray_by_itself_and_says_nothing_of_it(texts: Path, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    command = [sys.executable, "-m", "lodestone", "index", str(texts / "000.txt"), "--executor", "ray"]
    done = subprocess.run(
        [*command, "--index", str(tmp_path / "index")], capture_output=True, text=True, env=environment, cwd=REPOSITORY
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 passage" in done.stdout


def test_a_compressed_tar_archive_is_refused_since_it_is_unpacked_on_one_machine(texts: Path, tmp_path: Path) -> None:
    (tmp_path / "packed").mkdir()
    with tarfile.open(tmp_path / "packed" / "a.tar.gz", "w:gz") as archive:
        archive.add(texts / "000.txt", "a.txt")
    made = stages(FaissDocumentStore(str(tmp_path / "index")), TextFileToDocument())
    report = IndexingJob(made, executor=RayExecutor()).run([tmp_path / "packed"])
    made.document_store.close()
    assert "unpack it first, or run without --executor ray" in report.failed[0].reason


def test_a_cluster_that_does_not_answer_is_named(texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = stages(FaissDocumentStore(str(tmp_path / "index")), TextFileToDocument())
    for address, reason in {"nonsense": "not of the form HOST:PORT", "127.0.0.1:1": "Connection refused"}.items():
        with pytest.raises(ConfigurationError, match=rf"no Ray cluster can be reached at {address} \(.*{reason}"):
            IndexingJob(made, executor=RayExecutor(address)).run([texts])
    with pytest.raises(ConfigurationError, match="workers must be at least 1 with the executor ray, got 0"):
        IndexingJob(made, settings=Settings(workers=0), executor=RayExecutor()).run([texts])
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'lodestone\[ray\]'"):
        make_executor("ray")
    made.document_store.close()


def test_an_executor_that_does_not_exist_and_an_address_without_ray_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="executor must be one of local, ray, got 'spark'"):
        make_executor("spark")
    with pytest.raises(ConfigurationError, match="'head:6379', is for the executor ray, and the executor is local"):
        make_executor("local", "head:6379")


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([("a", 2.0, 0)], Shares(1, 1.0, 0, ["a"], 1, 1.0)),
        ([("a", 1.0, 0)], Shares(1, 0.5, 0, ["a"], 1, 0.5)),
        ([("a", 1.0, 0), ("b", 8.0, 0)], Shares(2, 0.5, 0, ["a", "b"], 8, 0.5)),
        ([("head", 0.0, 0), ("a", 16.0, 0), ("b", 16.0, 0)], Shares(2, 8.0, 0, ["a", "b"], 16, 1.0)),
        ([("a", 16.0, 2), ("b", 8.0, 0)], Shares(2, 1.0, 1, ["a", "a"], 22, 1.0)),
        ([("a", 2.0, 2)], Shares(2, 0.0, 1, ["a", "a"], 2, 1.0)),
        ([("head", 0.0, 0)], Shares(1, 1.0, 0, [], 1, 1.0)),
    ],
)
def test_a_cluster_is_shared_out_so_that_all_parts_find_room(
    nodes: list[tuple[str, float, int]], expected: Shares
) -> None:
    assert shares(nodes, None, embeds=True) == expected
    assert shares(nodes, 3, embeds=True).converters == 3
