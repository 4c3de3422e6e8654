from pathlib import Path

import pytest
from small_jobs import index_texts, metas, texts

from lodestone.components.errors import ConfigurationError
from lodestone.indexing import MetadataRules, Source
from lodestone.indexing.metadata import path_pattern
from lodestone.indexing.patterns import Patterns


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*.md", "a.md", True),
        ("*.md", "in/a.md", True),
        ("*.md", "a.md.txt", False),
        ("/*.md", "in/a.md", False),
        ("in/*.md", "in/a.md", True),
        ("in/*.md", "in/deep/a.md", False),
        ("in/**/*.md", "in/a.md", True),
        ("in/**/*.md", "in/very/deep/a.md", True),
        ("in/**", "in/very/deep/a.md", True),
        ("in/**", "inn/a.md", False),
        ("**/in/*", "x/in/a.md", True),
        ("?.md", "a.md", True),
        ("[ab].md", "b.md", True),
        ("[!ab].md", "b.md", False),
        ("a+(1).md", "a+(1).md", True),
        ("[.md", "[.md", True),
    ],
)
def test_a_pattern_matches_paths(pattern: str, path: str, matches: bool) -> None:
    assert Patterns(include=(pattern,)).accept(path) == matches


def test_what_is_excluded_is_excluded_with_all_that_is_in_it() -> None:
    patterns = Patterns(include=("*.md",), exclude=("drafts", "/old/2019"))
    assert patterns.accept("new/a.md")
    assert not patterns.accept("new/drafts/deep/a.md")
    assert not patterns.accept("old/2019/a.md")
    assert patterns.accept("very/old/2019/a.md")


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    for name in ("docs/hr/2023/a.md", "docs/hr/2024/b.md", "docs/it/2024/c.txt", "docs/d.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path / "docs"


def test_a_glob_indexes_what_it_matches_and_deletes_nothing_else(docs: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    index_texts(index, docs)
    (docs / "hr" / "2023" / "a.md").unlink()
    (docs / "d.txt").unlink()
    report = index_texts(index, f"{docs}/**/*.md")
    assert (report.files, report.deleted) == (1, 1)
    assert set(texts(index)) == {"docs/hr/2024/b.md", "docs/it/2024/c.txt", "docs/d.txt"}


def test_a_glob_below_a_known_root_belongs_to_it(docs: Path, tmp_path: Path) -> None:
    index_texts(tmp_path / "index", docs / "d.txt", f"{docs}/hr/*/*.md")
    assert set(texts(tmp_path / "index")) == {"docs/d.txt", "docs/hr/2023/a.md", "docs/hr/2024/b.md"}


def test_a_pattern_that_matches_nothing_is_named(docs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^no file matches .*docs/hr/\*\*/\*\.pdf; nothing was changed$"):
        index_texts(tmp_path / "index", f"{docs}/hr/**/*.pdf")
    with pytest.raises(ConfigurationError, match=r"docs holds no files that `include` and `exclude` let in"):
        index_texts(tmp_path / "index", Source(str(docs), Patterns(include=("*.pdf",))))


def test_include_and_exclude_limit_a_source(docs: Path, tmp_path: Path) -> None:
    source = Source(str(docs), Patterns(include=("*.md", "*.txt"), exclude=("2023", "it/**/*.txt")))
    index_texts(tmp_path / "index", source)
    assert set(texts(tmp_path / "index")) == {"docs/hr/2024/b.md", "docs/d.txt"}


def test_metadata_comes_from_the_path_the_front_matter_and_constants(docs: Path, tmp_path: Path) -> None:
    (docs / "hr" / "2024" / "b.md").write_text("---\nauthor: Ann\ndate: 2024-05-01\nsecret: x\n---\ntext")
    rules = MetadataRules("{team}/{year}/**", ("author", "date"), {"tenant": "acme"})
    index_texts(tmp_path / "index", docs, metadata=rules)
    found = metas(tmp_path / "index")
    names = ("team", "year", "author", "date", "tenant", "secret")
    assert {name: found["hr/2024/b.md"].get(name) for name in names} == {
        "team": "hr",
        "year": "2024",
        "author": "Ann",
        "date": "2024-05-01",
        "tenant": "acme",
        "secret": None,
    }
    assert (found["d.txt"].get("team"), found["d.txt"]["tenant"]) == (None, "acme")


def test_changed_rules_for_metadata_index_again(docs: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    index_texts(index, docs)
    assert index_texts(index, docs, metadata=MetadataRules(constant={"tenant": "acme"})).indexed == 4
    assert index_texts(index, docs, metadata=MetadataRules(constant={"tenant": "acme"})).unchanged == 4


def test_a_wrong_path_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="redefinition"):
        path_pattern("{a}/{a}")
    with pytest.raises(ValueError, match="bad character in group name"):
        path_pattern("{not a name}/x")
