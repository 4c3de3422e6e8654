"""Where nothing more can be written, this is said plainly, nothing acknowledged is lost, and later work goes on."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from haystack import Document

from lodestone.components.errors import LodestoneError
from lodestone.components.stores import FaissDocumentStore, database, files

# A limit on the size of files stands in for a full disk: the kernel refuses to write in the middle of things.
WRITER = textwrap.dedent(
    """
    import logging, resource, sys
    from haystack import Document
    from lodestone.components.errors import LodestoneError
    from lodestone.components.stores import FaissDocumentStore

    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def batch(n):
        return [
            Document(id=f"{n}-{i}", content=f"word b{n} i{i}" + " text" * 20, meta={"b": n}, embedding=[n + 1.0] * 40)
            for i in range(20)
        ]

    with FaissDocumentStore(sys.argv[1]) as store:
        store.write_documents(batch(0))
        store.save()
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), hard))
        acknowledged = 1
        try:
            while True:
                store.write_documents(batch(acknowledged))
                acknowledged += 1
                if acknowledged % 5 == 0:
                    store.save()
        except LodestoneError as error:
            print(f"REFUSED {error}")
        print("HELD", acknowledged * 20, store.count_documents(), flush=True)
        store.close()
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        store.write_documents(batch(1000))
        store.close()
        verified = store.verify()
        print("AFTER", verified.passages, verified.dense, verified.bm25, verified.ok)
    """
)


@pytest.mark.parametrize("limit", [150_000, 400_000, 1_000_000])
def test_what_was_acknowledged_is_there_when_writing_was_refused(tmp_path: Path, limit: int) -> None:
    result = subprocess.run(
        [sys.executable, "-c", WRITER, str(tmp_path), str(limit)], capture_output=True, text=True, check=True
    )
    lines = result.stdout.splitlines()
    assert lines[0].startswith("REFUSED ")
    assert "is safe" in lines[0] or "nothing is lost" in lines[0]
    _, acknowledged, held = lines[1].split()
    assert acknowledged == held
    expected = int(held) + 20
    assert lines[2] == f"AFTER {expected} {expected} {expected} True"
    assert "Traceback" not in result.stderr
    assert list(tmp_path.glob("*.tmp")) == []


def test_a_full_disk_is_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents([Document(id="a", content="a", embedding=[1.0, 2.0])])
        with store._core.reading() as opened:
            assert opened is not None
            # SQLite's own limit, which fails as a full disk does.
            opened.execute("PRAGMA max_page_count = 1")
        with pytest.raises(
            LodestoneError, match=r"no space is left on the disk of .*nothing of this batch was written"
        ):
            store.write_documents([Document(id=str(n), content="word" * 500) for n in range(500)])
        assert [document.id for document in store.filter_documents()] == ["a"]
        # Errors that do not say why, while the disk is full.
        monkeypatch.setattr(database, "is_full", lambda folder: True)
        with pytest.raises(LodestoneError, match="no space is left"):
            store._core._open().execute("SELECT nothing FROM nowhere")  # type: ignore[union-attr]
    assert not files.is_full(tmp_path)


def test_an_export_to_a_full_disk_is_refused(tmp_path: Path) -> None:
    with FaissDocumentStore(tmp_path) as store:
        store.write_documents([Document(id="a", content="a", embedding=[1.0, 2.0])])
        with pytest.raises(LodestoneError, match=r"no space is left on the disk of /dev: full was not written"):
            store.export_to("/dev/full")
    assert Path("/dev/full").is_char_device()
