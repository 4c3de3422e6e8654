from pathlib import Path

import pytest

from lodestone.components.errors import ConfigurationError
from lodestone.indexing import Limits, MetadataRules, Settings, Source
from lodestone.indexing.job_file import JobDefinition, read_job
from lodestone.indexing.patterns import Patterns
from lodestone.indexing.tables import Columns

WHOLE = """
sources:
  - handbook
  - https://example.org/manual
  - path: faq.csv
    include: "*.csv"
    exclude: [old]
    root_name: questions
    rows: {content: [question, answer], meta: team, id: key}
pipeline: mine.yaml
index: indexes/all
include: ["*.md", "*.txt"]
exclude: [drafts]
metadata:
  path: "{team}/**"
  front_matter: [author]
  set: {tenant: acme, level: 3}
limits: {megabytes: 1.5, seconds: 10, memory: 100, pages: 7, archive_files: 5, archive_megabytes: 6, archive_ratio: 7}
workers: 0
batch_passages: 10
batch_files: 20
archives: false
prune: true
verify: true
executor: ray
address: head:6379
"""


def job(tmp_path: Path, text: str) -> JobDefinition:
    (tmp_path / "job.yaml").write_text(text)
    return read_job(tmp_path / "job.yaml")


def test_a_job_file_says_everything_and_its_paths_are_relative_to_it(tmp_path: Path) -> None:
    everywhere = Patterns(("*.md", "*.txt"), ("drafts",))
    columns = Columns(("question", "answer"), ("team",), "key")
    assert job(tmp_path, WHOLE) == JobDefinition(
        sources=[
            Source(str(tmp_path / "handbook"), everywhere),
            Source("https://example.org/manual", everywhere),
            Source(str(tmp_path / "faq.csv"), Patterns(("*.csv",), ("drafts", "old")), columns, "questions"),
        ],
        pipeline=str(tmp_path / "mine.yaml"),
        index=str(tmp_path / "indexes" / "all"),
        settings=Settings(0, 10, 20, False, Limits(1.5, 10, 100, 7, 5, 6, 7)),
        metadata=MetadataRules("{team}/**", ("author",), {"tenant": "acme", "level": 3}),
        prune=True,
        verify=True,
        executor="ray",
        address="head:6379",
    )


def test_what_is_left_out_is_as_without_a_job_file(tmp_path: Path) -> None:
    assert job(tmp_path, "sources: [docs]") == JobDefinition([Source(str(tmp_path / "docs"))])
    assert job(tmp_path, "sources: [docs]\npipeline: indexing_faiss").pipeline == "indexing_faiss"


def test_what_is_given_besides_goes_before_the_job_file(tmp_path: Path) -> None:
    definition = job(tmp_path, WHOLE)
    assert definition.overridden(limits={"seconds": None}, workers=None, sources=[], index=None) == definition
    changed = definition.overridden(limits={"seconds": 3}, workers=2, sources=[Source("x")], verify=False)
    assert (changed.settings.limits.seconds, changed.settings.limits.megabytes) == (3, 1.5)
    assert (changed.settings.workers, changed.sources, changed.verify) == (2, [Source("x")], True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"job.yaml:1: the job must be a mapping with the keys sources, .*, got null"),
        ("sources: []", "job.yaml:1: sources is missing or empty"),
        ("sources: docs", "job.yaml:1: sources must be a list, got 'docs'"),
        ("sources: [a]\nworker: 2", "job.yaml:2: unknown key 'worker'; valid keys: .*Did you mean 'workers'?"),
        ("sources:\n - {include: x}", "job.yaml:2: a source needs a path"),
        ("sources:\n - path: a\n   row: {}", "job.yaml:3: unknown key 'row'.*Did you mean 'rows'?"),
        ("sources:\n - path: a\n   rows: {meta: x}", "job.yaml:3: rows needs content"),
        ("sources: [3]", "job.yaml:1: sources.0 must be a mapping with the keys path, .*, got 3"),
        ("sources: [a]\nlimits:\n  seconds: 0", "job.yaml:3: seconds must be a number above 0, got 0"),
        ("sources: [a]\nlimits:\n  megabytes: .inf", "job.yaml:3: megabytes must be a number above 0, got .*inf"),
        ("sources: [a]\nlimits:\n  pages: 1.5", "job.yaml:3: pages must be a whole number above 0, got 1.5"),
        ("sources: [a]\nlimits:\n  second: 1", "job.yaml:3: unknown key 'second'.*Did you mean 'seconds'?"),
        ("sources: [a]\nworkers: -1", "job.yaml:2: workers must be a whole number of at least 0, got -1"),
        ("sources: [a]\nworkers: true", "job.yaml:2: workers must be a whole number of at least 0, got true"),
        ("sources: [a]\nprune: 1", "job.yaml:2: prune must be true or false, got 1"),
        ("sources: [a]\ninclude: {a: b}", "job.yaml:2: include must be text or a list of texts, got a mapping"),
        ("sources: [a]\nindex: [x]", "job.yaml:2: index must be text, got a list"),
        ("sources: [a]\nmetadata:\n  path: '{source}/x'", "job.yaml:3: 'source' is a field that passages use"),
        ("sources: [a]\nmetadata:\n  path: '{a}/{a}'", "job.yaml:3: metadata.path is no pattern"),
        ("sources: [a]\nmetadata:\n  set: [x]", "job.yaml:3: metadata.set must be a mapping"),
        (
            "sources: [a]\nexecutor: rey",
            "job.yaml:2: executor must be one of local, ray, got 'rey'.*Did you mean 'ray'?",
        ),
        ("sources: [a]\naddress: head:6379", "job.yaml:2: address is for the executor ray; add executor: ray"),
        ("sources: [a]\nsources: [b]", "job.yaml:2: the key 'sources' was already given on line 1"),
        ("sources: [!!python/name:os.system '']", "job.yaml:1: the YAML tag"),
    ],
)
def test_what_is_wrong_is_named_with_its_line_and_what_is_right(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        job(tmp_path, text)


def test_all_that_is_wrong_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        job(tmp_path, "sources: 1\nworkers: x\nnope: 1")
    assert len(str(caught.value).splitlines()) == 3


def test_a_file_that_is_not_there_or_no_text_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none.yaml cannot be read: No such file"):
        read_job(tmp_path / "none.yaml")
    (tmp_path / "job.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        read_job(tmp_path / "job.yaml")


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 0.0])
def test_a_limit_is_a_number_above_zero(value: float) -> None:
    with pytest.raises(ConfigurationError, match="the limit megabytes must be a number above 0, got"):
        Limits(megabytes=value)


def test_an_index_in_elasticsearch_is_named_and_one_in_a_folder_is_a_path(tmp_path: Path) -> None:
    text = "sources: [docs]\nindex: handbooks\npipeline: "
    assert job(tmp_path, text + "indexing_elasticsearch").index == "handbooks"
    assert job(tmp_path, text + "indexing_faiss").index == str(tmp_path / "handbooks")
    assert job(tmp_path, text + "missing.yaml").index == str(tmp_path / "handbooks")
