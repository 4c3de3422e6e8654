"""Clusters of several nodes, one of which dies."""

import os
import subprocess
import sys
from pathlib import Path

import elasticsearch_server
import pytest
from elastic_transport import ApiResponseMeta, ConnectionTimeout, HttpHeaders, NodeConfig
from elasticsearch import ApiError

from lodestone.components.errors import LodestoneError
from lodestone.components.stores.elasticsearch.bulk import at_once
from lodestone.components.stores.elasticsearch.problems import explained

WITHOUT_ELASTICSEARCH = "no Elasticsearch to test against"
TRIAL = Path(__file__).resolve().parents[4] / "benchmarks" / "elasticsearch_cluster.py"


def answer_of(status: int) -> ApiError:
    node = NodeConfig("http", "127.0.0.1", 9200)
    meta = ApiResponseMeta(status, "1.1", HttpHeaders(), 0.0, node)
    return ApiError("search_phase_execution_exception", meta, {"error": {"reason": "Partial shards failure"}})


@pytest.mark.parametrize(
    ("failure", "times"), [(answer_of(502), 2), (answer_of(400), 1), (ConnectionTimeout("too long"), 1)]
)
def test_a_search_that_lost_its_node_is_asked_again_and_no_other(failure: Exception, times: int) -> None:
    asked = []

    def ask() -> str:
        with explained("cluster"):
            asked.append(1)
            if len(asked) == 1:
                raise failure
            return "answer"

    if times == 1:
        with pytest.raises(LodestoneError):
            at_once(ask)
    else:
        assert at_once(ask) == "answer"
    assert len(asked) == times


def test_no_question_fails_and_nothing_is_lost_when_a_node_of_three_is_killed() -> None:
    if (missing := elasticsearch_server.missing()) is not None:
        pytest.skip(f"{WITHOUT_ELASTICSEARCH}: {missing}")
    memory = ["--folder", "/dev/shm"] if os.access("/dev/shm", os.W_OK) else []
    port = elasticsearch_server.free_ports(1)[0]
    command = ["--launcher", elasticsearch_server.LAUNCHER, "--kills", "1", "--seconds", "4", "--port", port, *memory]
    result = subprocess.run(
        [sys.executable, str(TRIAL), *map(str, command)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **elasticsearch_server.SHORT_LIVED},
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "missing 0, more than once 0" in result.stdout
    assert "nothing was lost" in result.stdout
