"""What goes wrong with clusters: each is told clearly, and loses nothing."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from elasticsearch_server import NewStore, Server
from haystack import Document
from haystack.utils import Secret

from lodestone import ElasticsearchStore
from lodestone.components.errors import ConfigurationError, LodestoneError
from lodestone.components.stores.elasticsearch.bulk import Action, BulkSettings, BulkWriter, RefusedDocumentsError
from lodestone.components.stores.elasticsearch.mapping import LEDGER_MAPPINGS, IndexSettings
from lodestone.indexing import IndexingJob, Report
from lodestone.indexing.settings import Settings
from lodestone.pipelines import load_pipeline
from lodestone.pipelines.stages import cut_at_embedder


@contextmanager
def stub(status: int, body: dict[str, Any], product: str = "Elasticsearch") -> Iterator[str]:
    """A server that gives one answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("X-Elastic-Product", product)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def test_wrong_credentials_are_told_with_the_variables_to_set() -> None:
    refusal = {"error": {"type": "security_exception", "reason": "unable to authenticate"}, "status": 401}
    with stub(401, refusal) as url, pytest.raises(ConfigurationError, match=r"credentials.*ELASTIC_API_KEY.*PASSWORD"):
        ElasticsearchStore(url).exists()


def test_a_version_that_is_too_old_is_refused() -> None:
    with (
        stub(200, {"version": {"number": "7.17.9"}}) as url,
        pytest.raises(ConfigurationError, match=r"Elasticsearch 7\.17\.9 at .* is too old: 8\.18 or newer"),
    ):
        ElasticsearchStore(url).count_documents()


def test_another_server_than_elasticsearch_is_refused() -> None:
    with (
        stub(200, {"version": {"number": "8.19.0"}}, "nginx") as url,
        pytest.raises(ConfigurationError, match="is not"),
    ):
        ElasticsearchStore(url).exists()


def test_an_unreachable_cluster_is_told_with_its_url() -> None:
    with pytest.raises(LodestoneError, match=r"http://127\.0\.0\.1:1 cannot be reached"):
        ElasticsearchStore("http://127.0.0.1:1").exists()


def test_secrets_stand_in_the_environment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="api_key must come from the environment"):
        ElasticsearchStore(api_key=Secret.from_token("secret"))
    with pytest.raises(ConfigurationError, match="must not hold a password"):
        ElasticsearchStore("http://me:secret@localhost:9200")
    monkeypatch.delenv("ELASTIC_PASSWORD", raising=False)
    with pytest.raises(ConfigurationError, match=r"cannot connect to .* as told: .*NEVER_SET"):
        ElasticsearchStore(api_key=Secret.from_env_var("NEVER_SET")).exists()
    with pytest.raises(ConfigurationError, match="cannot connect to cloud:broken as told"):
        ElasticsearchStore(cloud_id="broken").exists()
    with pytest.raises(ConfigurationError, match="password of 'elastic' is missing: set ELASTIC_PASSWORD"):
        ElasticsearchStore(username="elastic").exists()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"hosts": "localhost:9200"}, "hosts must be URLs"),
        ({"hosts": "http://localhost"}, "must name the port"),
        ({"hosts": "http://localhost:abc"}, "hosts must be URLs .* got 'http://localhost:abc'"),
        ({"hosts": ["http://localhost:9200", "http://b:99999"]}, "hosts must be URLs .* got 'http://b:99999'"),
        ({"hosts": "http://[::1:9200"}, "hosts must be URLs"),
        ({"hosts": []}, r"hosts must have at least one URL, got \[\]"),
        ({"hosts": "http://localhost:9200", "cloud_id": "x:y"}, "either hosts or cloud_id"),
        ({"index": "My Index"}, "index must be a lower-case name"),
        ({"index": "papers-ledger"}, "index must not end in -ledger, .* got 'papers-ledger'"),
        ({"similarity": "l2"}, "similarity must be one of cosine, dot_product, got 'l2'"),
        ({"language": "klingon"}, "language must be one of .* got 'klingon'"),
        ({"max_fields": 0}, "max_fields must be at least 1, got 0"),
        ({"bulk_bytes": 0}, "bulk_bytes must be at least 1, got 0"),
        ({"max_retries": -1}, "max_retries must be at least 0, got -1"),
        ({"timeout": 0}, "timeout must be more than 0 seconds, got 0"),
    ],
)
def test_wrong_parameters_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ElasticsearchStore(**parameters)


def test_a_read_only_index_is_told_and_takes_up_again(store: ElasticsearchStore) -> None:
    store.write_documents([Document(id="1", content="one")])
    store.client.indices.put_settings(index=store.index, settings={"index.blocks.write": True})
    with pytest.raises(LodestoneError, match=r"is read-only .*index\.blocks\.write.*run the same command again"):
        store.write_documents([Document(id="2", content="two")])
    assert store.count_documents() == 1
    store.client.indices.put_settings(index=store.index, settings={"index.blocks.write": None})
    assert store.write_documents([Document(id="2", content="two")]) == 1
    assert store.count_documents() == 2


def test_a_red_index_is_told_and_never_answers_in_part(new_store: NewStore) -> None:
    store = new_store(max_retries=0, timeout=2)
    settings = IndexSettings("cosine", "english", None, 1000, 1, 0)
    nowhere = {"routing.allocation.require._name": "nowhere"}
    for alias, mappings in ((store.index, settings.mappings(None)), (f"{store.index}-ledger", LEDGER_MAPPINGS)):
        store.client.indices.create(
            index=f"{alias}-000001",
            aliases={alias: {}},
            mappings=mappings,
            settings=settings.index_settings() | nowhere,
            wait_for_active_shards="0",
        )
    with pytest.raises(LodestoneError, match=r"is not able to write .*look at its health"):
        store.write_documents([Document(id="1", content="one")])
    for search in (store.count_documents, lambda: store.bm25_retrieval("one"), store.filter_documents):
        with pytest.raises(LodestoneError, match=r"is not able to answer now .*look at its health"):
            search()
    lifted = {"index.routing.allocation.require._name": None}
    store.client.indices.put_settings(index=store.index, settings=lifted)
    store.client.cluster.health(index=store.index, wait_for_status="yellow")
    store.write_documents([Document(id="1", content="one")])
    assert [document.id for document in store.bm25_retrieval("one")] == ["1"]


def test_an_index_that_is_not_ours_is_refused(store: ElasticsearchStore) -> None:
    store.client.indices.create(index=store.index)
    with pytest.raises(ConfigurationError, match="an index that Lodestone did not make"):
        store.write_documents([Document(content="one")])


def test_a_foreign_index_with_the_name_of_the_ledger_is_named(store: ElasticsearchStore) -> None:
    store.client.indices.create(index=f"{store.index}-ledger")
    with pytest.raises(ConfigurationError, match=rf"{store.index}-ledger, which Lodestone did not make.*name another"):
        store.write_documents([Document(content="one")])
    assert not store.client.indices.exists(index=f"{store.index}-000001-ledger")


def test_a_url_with_a_path_is_not_taken_for_a_missing_index(elasticsearch_url: str, store: ElasticsearchStore) -> None:
    store.write_documents([Document(content="one")])
    for path in ("prefix", "some/index", f"{store.index}-000001"):
        with pytest.raises(ConfigurationError, match=rf"/{path} is not the address of an .* cluster.*name the cluster"):
            ElasticsearchStore(f"{elasticsearch_url}/{path}").count_documents()


def test_what_is_waited_for_is_said_whole(caplog: pytest.LogCaptureFixture) -> None:
    with stub(429, {"error": {"type": "rejected", "reason": "queue: full"}}) as url, Elasticsearch(url) as client:
        writer = BulkWriter(client, BulkSettings(10, 1, 1, 1.0, first_wait=0.01), "there")
        with pytest.raises(LodestoneError, match="look at its health"):
            writer.write([Action("index", "docs", "a")])
    (message,) = [record.getMessage() for record in caplog.records if "tried again" in record.getMessage()]
    assert message.endswith("there is not able to answer now (429: queue: full)")


def test_an_index_that_is_being_built_is_listed_with_what_it_holds(new_store: NewStore) -> None:
    store = new_store()
    store.write_documents([Document(content="old")])
    new_store(f"{store.index}-next").write_documents([Document(content="one"), Document(content="two")], refresh=False)
    assert [(one.state, one.passages) for one in store.generations()] == [("serving", 1), ("building", 2)]


def test_an_index_with_another_mapping_is_refused(store: ElasticsearchStore) -> None:
    mappings = {"properties": {"content": {"type": "keyword"}}}
    store.client.indices.create(index=f"{store.index}-1", aliases={store.index: {}}, mappings=mappings)
    with pytest.raises(ConfigurationError, match="was not made by Lodestone"):
        store.write_documents([Document(content="one")])


def test_an_index_behind_an_alias_is_not_called_foreign(store: ElasticsearchStore, new_store: NewStore) -> None:
    store.write_documents([Document(content="one")])
    with pytest.raises(ConfigurationError, match=f"behind an alias: give the alias, '{store.index}'"):
        new_store(f"{store.index}-000001").count_documents()


def test_the_index_that_one_went_back_to_outlasts_the_next_swap(new_store: NewStore) -> None:
    store = new_store()
    store.write_documents([Document(id="1", content="one")])
    new_store(f"{store.index}-next").write_documents([Document(id="2", content="two")])
    store.swap(1)
    old, new = f"{store.index}-000001", f"{store.index}-000002"
    back = [
        {action: {"index": f"{name}{suffix}", "alias": f"{store.index}{suffix}"}}
        for action, name in (("remove", new), ("add", old))
        for suffix in ("", "-ledger")
    ]
    store.client.indices.update_aliases(actions=back)
    new_store(f"{store.index}-next").write_documents([Document(id="3", content="three")])
    assert store.swap(1) == [new]
    assert [(one.name[-1], one.state) for one in store.generations()] == [("1", "old"), ("3", "serving")]


def test_settings_that_an_index_was_not_made_with_are_refused(new_store: NewStore) -> None:
    store = new_store(similarity="dot_product")
    store.write_documents([Document(id="1", embedding=[1.0, 0.0])])
    with pytest.raises(ConfigurationError, match="created with similarity 'dot_product', not 'cosine'"):
        new_store(store.index).count_documents()
    other = new_store(store.index, similarity="dot_product")
    with pytest.raises(ConfigurationError, match=r"has vectors of 2 dimensions, not 3.*nothing was written"):
        other.write_documents([Document(id="2", embedding=[1.0, 0.0, 0.0])])
    with pytest.raises(ConfigurationError, match="query's embedding has 3 dimensions, the store's have 2"):
        other.embedding_retrieval([1.0, 0.0, 0.0])
    assert other.count_documents() == 1


def test_documents_that_are_refused_are_told_by_id_and_the_others_written(store: ElasticsearchStore) -> None:
    good = [Document(id=str(n), content="good", embedding=[1.0, n]) for n in range(20)]
    bad = Document(id="bad", content="bad", embedding=[3e38, 3e38])
    with pytest.raises(RefusedDocumentsError, match=r"did not take 1 documents.*'bad': .*magnitude") as caught:
        store.write_documents([*good, bad])
    assert list(caught.value.reasons) == ["bad"]
    assert store.count_documents() == 20


def test_a_document_larger_than_a_request_may_be_is_told_by_id() -> None:
    with stub(413, {}) as url, Elasticsearch(url) as client:
        writer = BulkWriter(client, BulkSettings(10, 1, 0, 1.0), "there")
        assert "http.max_content_length" in writer.write([Action("index", "docs", "large")]).refused["large"]
        client_of_many = BulkWriter(client, BulkSettings(10_000, 1, 0, 1.0), "there")
        with pytest.raises(ConfigurationError, match=r"too large \(413\): set .*bulk_bytes below"):
            client_of_many.write([Action("index", "docs", name) for name in ("1", "2")])


def test_a_document_that_the_heap_never_takes_is_refused_at_once() -> None:
    reason = "rejected execution of coordinating operation [all_bytes=0, coordinating_operation_bytes={}, {}=41943040]"
    for size, refused in ((45_006_264, {"large"}), (41_000_000, set())):
        told = reason.format(size, "max_coordinating_bytes")
        with stub(429, {"error": {"type": "rejected", "reason": told}}) as url, Elasticsearch(url) as client:
            writer = BulkWriter(client, BulkSettings(10, 1, 0, 1.0), "there")
            if not refused:
                with pytest.raises(LodestoneError, match="not able to answer now"):
                    writer.write([Action("index", "docs", "small")])
                continue
            assert set(writer.write([Action("index", "docs", "large")]).refused) == refused


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELASTICSEARCH_URL", "")
    assert ElasticsearchStore().path == "http://localhost:9200/lodestone"


def folder_of_texts(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:03}.txt").write_text(f"This is file number {number} of a folder of texts.\n")
    return folder


def index_words(index: str, folder: Path) -> Report:
    """Index without vectors, one file at a time."""
    stages = cut_at_embedder(load_pipeline("indexing_elasticsearch", index=index))
    stages.embedder = None
    try:
        return IndexingJob(stages, settings=Settings(batch_files=1, workers=0)).run([folder])
    finally:
        stages.document_store.close()


def test_a_server_that_is_killed_while_indexing_loses_nothing(
    elasticsearch_own: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELASTICSEARCH_URL", elasticsearch_own.url)
    folder, index = folder_of_texts(tmp_path / "texts", 30), f"test-killed-{time.time_ns()}"
    restarts = []
    write_sources = ElasticsearchStore.write_sources

    def restart() -> None:
        elasticsearch_own.stop(kill=True)
        elasticsearch_own.start()

    def write_and_kill(store: ElasticsearchStore, sources: Any) -> None:
        if len(restarts) < 1 and sources[0][0].path == "010.txt":
            restarts.append(threading.Thread(target=restart))
            restarts[0].start()
        write_sources(store, sources)

    monkeypatch.setattr(ElasticsearchStore, "write_sources", write_and_kill)
    report = index_words(index, folder)
    restarts[0].join()
    with ElasticsearchStore(elasticsearch_own.url, index) as store:
        assert (report.indexed, report.failed) == (30, [])
        assert sorted(document.meta["source"] for document in store.filter_documents()) == [
            f"{number:03}.txt" for number in range(30)
        ]
        assert len(list(store.sources())) == 30
        store.delete_all_documents(recreate_index=True)


def test_a_run_goes_on_where_the_one_before_lost_the_server(
    elasticsearch_own: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELASTICSEARCH_URL", elasticsearch_own.url)
    folder, index = folder_of_texts(tmp_path / "texts", 12), f"test-lost-{time.time_ns()}"
    touch_sources = ElasticsearchStore.touch_sources

    def lose_the_server(store: ElasticsearchStore, records: Any) -> None:
        listed = list(records)
        if listed[0].path == "005.txt":
            raise LodestoneError("the server is gone")
        touch_sources(store, listed)

    # The passages of the sixth file are written, its row is not.
    monkeypatch.setattr(ElasticsearchStore, "touch_sources", lose_the_server)
    with pytest.raises(LodestoneError, match="the server is gone"):
        index_words(index, folder)
    monkeypatch.setattr(ElasticsearchStore, "touch_sources", touch_sources)
    (folder / "005.txt").write_text("Another text since then.\n")
    report = index_words(index, folder)
    assert (report.indexed, report.unchanged) == (7, 5)
    with ElasticsearchStore(elasticsearch_own.url, index) as store:
        contents = sorted(str(document.content) for document in store.filter_documents())
        assert len(contents) == 12
        assert contents[0] == "Another text since then."
        store.delete_all_documents(recreate_index=True)


def test_jobs_over_folders_of_their_own_fill_one_index_at_once(
    elasticsearch_url: str, tmp_path: Path, store: ElasticsearchStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELASTICSEARCH_URL", elasticsearch_url)
    folders = [folder_of_texts(tmp_path / name, 8) for name in ("one", "two", "three")]
    with ThreadPoolExecutor(3) as pool:
        reports = list(pool.map(lambda folder: index_words(store.index, folder), folders))
    assert [(report.indexed, report.failed) for report in reports] == [(8, [])] * 3
    assert store.count_documents() == 24
    assert len(list(store.sources())) == 24
    assert set(store.roots()) == {"one", "two", "three"}


def test_an_index_of_another_embedding_model_is_refused(
    elasticsearch_url: str, tmp_path: Path, store: ElasticsearchStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELASTICSEARCH_URL", elasticsearch_url)
    store.set_setting("embedding_model", json.dumps({"model": "other", "fingerprint": "x"}))
    with pytest.raises(ConfigurationError, match="was made with the embedding model other"):
        IndexingJob(cut_at_embedder(load_pipeline("indexing_elasticsearch", index=store.index)))
