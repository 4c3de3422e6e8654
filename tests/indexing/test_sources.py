import os
import zipfile
from pathlib import Path

import pytest

from lodestone.components.errors import ConfigurationError
from lodestone.indexing.limits import Limits
from lodestone.indexing.scanning import Scan, Scanner
from lodestone.indexing.sources import Scope, Source
from lodestone.indexing.sources import find_scopes as find_scopes_of


def find_scopes(paths: list[Path], roots: dict[str, str], root_name: str | None = None) -> list[Scope]:
    return find_scopes_of([Source(str(path), root_name=root_name) for path in paths], roots)


def make_zip(file: Path, name: str) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, "x")


def scan(scope: Scope, leave_out: Path | None = None) -> Scan:
    found = Scanner(Limits(), Path, leave_out=str(leave_out)).scan(scope)
    found.files = iter(list(found.files))
    return found


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    for name in ("docs/a.txt", "docs/sub/b.txt", "docs/.hidden/c.txt", "docs/.d.txt", "outside.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path / "docs"


def test_a_folder_is_a_root_named_like_it_and_hidden_files_are_not_looked_at(docs: Path) -> None:
    (scope,) = find_scopes([docs], {})
    assert (scope.root, scope.folder, scope.prefix) == ("docs", str(docs), "")
    assert [file.path for file in scan(scope).files] == ["a.txt", "sub/b.txt"]


def test_a_single_file_and_a_folder_inside_belong_to_the_root_that_holds_them(docs: Path) -> None:
    known = {"docs": str(docs)}
    file, folder = find_scopes([docs / "a.txt", docs / "sub"], known)
    assert [(s.root, s.prefix) for s in (file, folder)] == [("docs", "a.txt"), ("docs", "sub/")]
    assert [found.path for found in scan(file).files] == ["a.txt"]
    assert [found.path for found in scan(folder).files] == ["sub/b.txt"]


def test_paths_inside_other_paths_are_looked_at_once(docs: Path) -> None:
    assert len(find_scopes([docs, docs / "sub", docs / "a.txt", docs], {})) == 1


def test_a_file_whose_name_begins_with_the_name_of_another_is_looked_at_too(docs: Path) -> None:
    (docs / "a.txt.md").write_text("more")
    scopes = find_scopes([docs / "a.txt", docs / "a.txt.md", docs / "a.txt"], {"docs": str(docs)})
    assert sorted(scope.prefix for scope in scopes) == ["a.txt", "a.txt.md"]


def test_another_root_of_the_same_name_needs_a_name_of_its_own(docs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"already has a root 'docs', the folder /elsewhere/docs.*--root-name"):
        find_scopes([docs], {"docs": "/elsewhere/docs"})
    (scope,) = find_scopes([docs], {"docs": "/elsewhere/docs"}, root_name="handbook")
    assert scope.root == "handbook"
    (moved,) = find_scopes([docs], {"docs": "/elsewhere/docs"}, root_name="docs")
    assert moved.folder == str(docs)


def test_a_root_has_one_name_and_blank_names_are_refused(docs: Path) -> None:
    with pytest.raises(ConfigurationError, match="under the root 'docs'"):
        find_scopes([docs / "sub"], {"docs": str(docs)}, root_name="other")
    with pytest.raises(ConfigurationError, match="must not be blank"):
        find_scopes([docs], {}, root_name=" ")


def test_what_lies_in_another_path_belongs_to_it_whatever_the_order(docs: Path) -> None:
    (scope,) = find_scopes([docs / "sub", docs], {})
    assert (scope.root, scope.prefix) == ("docs", "")


def test_a_folder_that_holds_a_root_is_refused_rather_than_indexed_twice(docs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="as a root of its own"):
        find_scopes([tmp_path], {"docs": str(docs)})


def test_a_missing_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere does not exist"):
        find_scopes([tmp_path / "nowhere"], {})


def test_links_that_lead_out_of_the_root_are_named_and_not_followed(docs: Path) -> None:
    (docs / "in.txt").symlink_to(docs / "a.txt")
    (docs / "out.txt").symlink_to(docs.parent / "outside.txt")
    (docs / "loop").symlink_to(docs)
    (docs / "broken.txt").symlink_to(docs / "missing.txt")
    (scope,) = find_scopes([docs], {})
    found = scan(scope)
    assert [file.path for file in found.files] == ["a.txt", "in.txt", "sub/b.txt"]
    assert [Path(outcome.path).name for outcome in found.skipped] == ["out.txt"]
    assert [Path(outcome.path).name for outcome in found.unreadable] == ["broken.txt"]


def test_the_index_itself_is_not_indexed(docs: Path) -> None:
    (scope,) = find_scopes([docs], {})
    assert [file.path for file in scan(scope, leave_out=docs / "sub").files] == ["a.txt"]


def test_a_pipe_and_a_name_that_is_not_utf8_are_named(docs: Path) -> None:
    os.mkfifo(docs / "pipe.txt")
    Path(os.fsdecode(os.fsencode(docs) + b"/bad\xff.txt")).write_text("x")
    (scope,) = find_scopes([docs], {})
    found = scan(scope)
    assert "neither a file" in found.skipped[0].reason
    assert "not UTF-8" in found.unreadable[0].reason
    assert [file.path for file in found.files] == ["a.txt", "sub/b.txt"]


def test_names_that_would_steer_a_terminal_are_shown_without_and_kept_as_they_are(docs: Path) -> None:
    name = "\x1b[2Jo\u00e9 \u202eme\nFailed: a.txt"
    (docs / name).write_text("x")
    make_zip(docs / "b.zip", name)
    (scope,) = find_scopes([docs], {})
    shown = {file.path: file.shown for file in scan(scope).files}
    for path in (name, f"b.zip/{name}"):
        assert shown[path] == f"{docs}/{path}".replace(name, r"\x1b[2Joé \u202eme\nFailed: a.txt")
