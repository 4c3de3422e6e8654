from pathlib import Path

import pytest
from haystack import Document

from lodestone import FaissDocumentStore
from lodestone.components.errors import ConfigurationError
from lodestone.components.stores import SourceRecord
from lodestone.indexing.removal import remove

FILES = [("a", "same.md"), ("a", "sub/x.md"), ("b", "same.md"), ("b", "sub.md")]


@pytest.fixture
def store(tmp_path: Path) -> FaissDocumentStore:
    store = FaissDocumentStore(str(tmp_path / "index"))
    for root in ("a", "b"):
        (tmp_path / root).mkdir()
        store.set_root(root, str(tmp_path / root))
    for number, (root, path) in enumerate(FILES):
        record = SourceRecord(root, path, 1, 1, "0", "0", "indexed", None, 1, 0.0)
        passage = Document(id=str(number), content=path, meta={"root": root, "source": path})
        store.write_source(record, [], [passage])
    return store


def held(store: FaissDocumentStore) -> list[tuple[str, str]]:
    return [(record.root, record.path) for record in store.sources()]


def test_a_path_on_disk_goes_before_the_same_name_in_another_root(
    store: FaissDocumentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path / "a")
    removed = remove(store, ["same.md"])
    assert (removed.files, removed.passages) == (1, 1)
    assert held(store) == [file for file in FILES if file != ("a", "same.md")]
    assert store.count_documents() == 3


def test_a_name_in_several_roots_must_say_which(store: FaissDocumentStore) -> None:
    with pytest.raises(ConfigurationError, match=r"several roots; name one of a/same\.md, b/same\.md"):
        remove(store, ["sub/x.md", "same.md"])
    assert held(store) == FILES
    assert remove(store, ["b/same.md"]).files == 1


def test_a_folder_takes_what_lies_in_it_and_nothing_that_is_named_alike(store: FaissDocumentStore) -> None:
    assert remove(store, ["sub"]).files == 1
    assert ("b", "sub.md") in held(store)


def test_a_root_whose_last_file_goes_is_forgotten(store: FaissDocumentStore, tmp_path: Path) -> None:
    assert remove(store, [str(tmp_path / "b")]).files == 2
    assert store.roots() == {"a": str(tmp_path / "a")}


def test_what_matches_nothing_is_named_and_a_blank_path_is_refused(store: FaissDocumentStore) -> None:
    removed = remove(store, ["nowhere.md", "a/sub"])
    assert (removed.files, removed.not_found) == (1, ["nowhere.md"])
    with pytest.raises(ConfigurationError, match="must not be blank"):
        remove(store, ["  "])
