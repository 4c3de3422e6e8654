"""`lodestone store` and `lodestone status`, as the keeper of an index uses them."""

import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lodestone import FaissDocumentStore

Run = Callable[..., Any]


def narrow(text: str, *paths: Path) -> bool:
    """Whether all lines fit into 80 columns, as they would if paths were short."""
    for path in paths:
        text = text.replace(str(path), "/index")
    return all(len(line) <= 80 for line in text.splitlines())


def test_status_says_what_people_ask_for(lodestone: Run, example_index: Path) -> None:
    shown = lodestone("status", "--index", example_index)
    assert shown.code == 0
    words = (
        "documents",
        "passages",
        "vector index",
        "flat",
        "on disk",
        "database",
        "text",
        "last write",
        "last indexed",
    )
    assert all(word in shown.out for word in [*words, "all-MiniLM-L6-v2", "384 dimensions"])
    assert narrow(shown.out)
    (line,) = lodestone("status", "--index", example_index, "--json").out.splitlines()
    status = json.loads(line)
    assert status["documents"] >= sum(status["sources"].values()) > 10
    assert set(status["bytes"]) == {"database", "vectors", "text"}
    assert (status["index_type"], status["recall"], status["writer"]) == ("flat", 1.0, None)
    assert len(status["last_indexed"]) == 3
    assert max(status["last_indexed"].values()) <= status["last_write"]


def test_status_names_the_process_that_writes(lodestone: Run, example_index_copy: Path) -> None:
    with FaissDocumentStore(example_index_copy) as store:
        store.set_setting("x", "y")
        shown = lodestone("status", "--index", example_index_copy).out
        writer = json.loads(lodestone("status", "--index", example_index_copy, "--json").out)["writer"]
    assert f"process {writer['pid']} on {writer['host']} since {writer['since']}" in shown
    shutil.copytree(example_index_copy, example_index_copy.with_name("killed"))
    killed = example_index_copy.with_name("killed")
    (killed / "writer.json").write_text(json.dumps({**writer, "pid": 2**22 + 1}))
    assert json.loads(lodestone("status", "--index", killed, "--json").out)["writer"] is None


def test_an_intact_index_is_verified(lodestone: Run, example_index: Path) -> None:
    shown = lodestone("store", "verify", "--index", example_index)
    assert shown.code == 0
    assert "Everything is intact" in shown.out
    assert narrow(shown.out, example_index)
    found = json.loads(lodestone("store", "verify", "--index", example_index, "--json").out)
    assert found["ok"] is True
    assert found["passages"] == found["vectors"] == found["dense"] == found["bm25"] > 0


def test_a_damaged_index_is_verified_and_rebuilt(lodestone: Run, example_index_copy: Path) -> None:
    (example_index_copy / "vectors.faiss").write_bytes(b"")
    shown = lodestone("store", "verify", "--index", example_index_copy)
    assert shown.code == 1
    assert "Wrong: vectors.faiss: its checksum is wrong" in shown.out
    assert f"lodestone store rebuild --index {example_index_copy}" in shown.out
    assert lodestone("store", "verify", "--index", example_index_copy, "--json").code == 1
    rebuilt = lodestone("store", "rebuild", "--index", example_index_copy)
    assert rebuilt.code == 0
    assert "passages, flat" in rebuilt.out
    assert lodestone("store", "verify", "--index", example_index_copy).code == 0


def test_the_index_type_is_changed_without_embedding_again(lodestone: Run, example_index_copy: Path) -> None:
    command = ("store", "rebuild", "--index", example_index_copy, "--index-type")
    rebuilt = json.loads(lodestone(*command, "hnsw", "--json").out)
    assert rebuilt["index_type"] == "hnsw"
    assert rebuilt["recall"] >= 0.98
    assert "hnsw, recall" in lodestone("status", "--index", example_index_copy).out
    assert lodestone("store", "verify", "--index", example_index_copy).code == 0
    wrong = lodestone(*command, "best")
    assert wrong.code == 2
    assert "flat" in wrong.err
    assert len(wrong.err.splitlines()) == 1


def test_a_damaged_database_is_refused_with_what_to_type(
    lodestone: Run, example_index_copy: Path, tmp_path: Path
) -> None:
    path = example_index_copy / "passages.sqlite"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 5])
    refused = lodestone("status", "--index", example_index_copy)
    assert refused.code == 2
    assert f"lodestone store export --salvage FILE --index {example_index_copy}" in refused.err
    verified = lodestone("store", "verify", "--index", example_index_copy)
    assert verified.code == 1
    assert "import FILE into a new index" in verified.out.replace("\n", " ")
    salvaged = lodestone("store", "export", "--salvage", tmp_path / "e.jsonl", "--index", example_index_copy)
    assert salvaged.code == 0
    assert "Left out" in salvaged.err
    assert lodestone("store", "import", tmp_path / "e.jsonl", "--index", tmp_path / "new").code == 0
    assert lodestone("store", "verify", "--index", tmp_path / "new").code == 0


def test_indexing_goes_on_where_the_exported_index_stood(lodestone: Run, example_index: Path, tmp_path: Path) -> None:
    exported = lodestone("store", "export", tmp_path / "e.jsonl", "--index", example_index, "--json")
    counts = json.loads(exported.out)
    assert counts["passages"] > counts["sources"] > 10
    imported = lodestone("store", "import", tmp_path / "e.jsonl", "--index", tmp_path / "new", "--json")
    assert json.loads(imported.out) == {
        "index": str(tmp_path / "new"),
        "passages": counts["passages"],
        "sources": counts["sources"],
    }
    corpus = Path(__file__).resolve().parents[2] / "examples" / "corpus"
    report = json.loads(lodestone("index", corpus, "--index", tmp_path / "new", "--json").out.splitlines()[-1])
    assert (report["indexed"], report["unchanged"]) == (0, counts["sources"] - len(report["failed"]))
    again = lodestone("store", "import", tmp_path / "e.jsonl", "--index", tmp_path / "new")
    assert again.code == 2
    assert "is not empty: import into another folder" in again.err


def test_an_export_goes_through_a_pipe(
    lodestone: Run, example_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported = lodestone("store", "export", "-", "--index", example_index)
    assert "Exported" in exported.err
    lines = exported.out.splitlines()
    assert json.loads(lines[0])["lodestone_export"] == 1
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(exported.out.encode())))
    assert lodestone("store", "import", "-", "--index", tmp_path / "new").code == 0
    assert FaissDocumentStore(tmp_path / "new").count_documents() == len(
        FaissDocumentStore(example_index).filter_documents()
    )


def test_compacting_gives_space_back(lodestone: Run, example_index_copy: Path) -> None:
    with FaissDocumentStore(example_index_copy) as store:
        store.delete_by_filter({"field": "meta.split_id", "operator": ">", "value": 0})
    shown = lodestone("store", "compact", "--index", example_index_copy)
    assert shown.code == 0
    assert narrow(shown.out)
    assert lodestone("store", "verify", "--index", example_index_copy).code == 0
    sizes = json.loads(lodestone("store", "compact", "--index", example_index_copy, "--json").out)
    assert sizes["bytes"]["database"] <= sizes["bytes_before"]["database"]


@pytest.mark.parametrize("verb", ["compact", "verify", "rebuild", "export", "import"])
def test_every_verb_explains_itself_and_needs_an_index(lodestone: Run, tmp_path: Path, verb: str) -> None:
    shown = lodestone("store", verb, "--help")
    assert shown.code == 0
    assert narrow(shown.out)
    if verb != "import":
        file = [tmp_path / "x"] if verb == "export" else []
        refused = lodestone("store", verb, *file, "--index", tmp_path / "none")
        assert (refused.code, refused.out) == (2, "")
        assert "there is no index in" in refused.err
    else:
        refused = lodestone("store", verb, tmp_path / "none.jsonl", "--index", tmp_path / "none")
        assert refused.code == 2
        assert "none.jsonl cannot be read" in refused.err
        assert len(refused.err.splitlines()) == 1
