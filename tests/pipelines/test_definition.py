"""Reading definitions: plain YAML, with lines, within limits."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lodestone.components.errors import ConfigurationError
from lodestone.pipelines import find_definition, parse_definition, read_definition, shipped_definitions

Write = Callable[..., Path]


def refusal(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse_definition(text, "x.yaml")
    return str(caught.value)


def test_every_key_and_value_has_its_line(write: Write, indexing_text: str) -> None:
    definition = read_definition(write(indexing_text))
    lines = indexing_text.splitlines()
    assert lines[definition.line(("components", "writer", "init_parameters", "policy")) - 1].strip() == (
        "policy: OVERWRITE"
    )
    assert lines[definition.line(("connections", 5)) - 1].strip() == "- {sender: cleaner, receiver: writer}"
    assert definition.line(("components", "writer", "init_parameters", "nothing", "at all")) == definition.line(
        ("components", "writer", "init_parameters")
    )


def test_a_value_on_the_next_line_has_a_line_of_its_own() -> None:
    definition = parse_definition("a:\n  b:\n    'text'\n")
    assert (definition.line(("a", "b")), definition.line(("a", "b"), value=True)) == (2, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: [1, 2\nc: 3\n", r"x\.yaml:3: invalid YAML: .*"),
        ("a: 1\nb:\n\tc: 3\n", r"x\.yaml:3: invalid YAML: a tab where YAML wants spaces; indent with spaces"),
        ("a: 'b\n", r"x\.yaml:2: invalid YAML: found unexpected end of stream .*"),
        ("a: 1\n---\nb: 2\n", r"x\.yaml:2: invalid YAML: but found another document .*"),
        ("a: *b\n", r"x\.yaml:1: invalid YAML: found undefined alias 'b'"),
        ("a: 1\nb: 2\na: 3\n", r"x\.yaml:3: the key 'a' was already given on line 1"),
        ("a:\n  - !!python/object/apply:os.system ['x']\n", r"x\.yaml:2: the YAML tag '.*os\.system' is not allowed.*"),
        ("a: !secret x\n", r"x\.yaml:1: the YAML tag '!secret' is not allowed; only plain values are"),
        ("a: &a [*a]\n", r"x\.yaml:1: an alias to something that it is itself part of"),
        ("a: 2024-13-45\n", r"x\.yaml:1: '2024-13-45' is not a valid timestamp; put it in quotes if it is text"),
        ("yes: 1\n", r"x\.yaml:1: the key 'yes' is not read as text; put it in quotes"),
        ("? [a, b]\n: 1\n", r"x\.yaml:1: a key that is a list or a mapping; keys are plain text"),
        ("a: 1\nb: \x07\n", r"x\.yaml:2: a character that YAML does not allow: .*"),
        ("[" * 50_000, r"x\.yaml:1: .*nested.*"),
        ("[" * 150 + "]" * 150, r"x\.yaml:1: nested more than 100 levels deep"),
        ("a:\n  <<: 3\n", r"x\.yaml:2: a merge key \(<<\) that cannot be merged: .*"),
    ],
)
def test_what_is_not_plain_yaml_is_refused_with_its_line(text: str, message: str) -> None:
    assert re.fullmatch(message, refusal(text))


def test_every_repeated_key_is_reported() -> None:
    assert refusal("a: 1\na: 2\nb: {c: 1, c: 2}\n").splitlines() == [
        "x.yaml:2: the key 'a' was already given on line 1",
        "x.yaml:3: the key 'c' was already given on line 3",
    ]


@pytest.mark.parametrize("item", ["[*a{0}, *a{0}, *a{0}, *a{0}]", "{{<<: [*a{0}, *a{0}, *a{0}, *a{0}]}}"])
def test_aliases_that_blow_up_are_refused(item: str) -> None:
    bomb = "a0: &a0 {x: 1}\n" + "".join(f"a{i + 1}: &a{i + 1} {item.format(i)}\n" for i in range(40))
    assert refusal(bomb) == "x.yaml:1: aliases that expand to more than 100,000 values; write them out"


def test_of_mappings_that_are_merged_the_first_wins() -> None:
    text = "one: &one\n  image: a\ntwo: &two\n  image: b\n  port: 2\nboth:\n  <<: [*one, *two]\n"
    assert parse_definition(text, "x.yaml").data["both"] == {"image": "a", "port": 2}


def test_aliases_and_merge_keys_within_reason_work_and_share_nothing() -> None:
    data = parse_definition("base: &b {x: [1], y: 2}\none: *b\ntwo:\n  <<: *b\n  y: 3\n").data
    assert data == {"base": {"x": [1], "y": 2}, "one": {"x": [1], "y": 2}, "two": {"x": [1], "y": 3}}
    data["one"]["x"].append(5)
    assert data["base"]["x"] == data["two"]["x"] == [1]


def test_a_large_file_is_refused_before_it_is_parsed(write: Write) -> None:
    with pytest.raises(ConfigurationError, match=r"^big\.yaml: larger than 1,000,000 bytes"):
        read_definition(write("# " + "x" * 2_000_000, "big.yaml"))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"a: 1\nb: \xff\xfe\n", r"^p\.yaml:2: not UTF-8 text"),
        (b"a: 1\n\x00\x01", r"^p\.yaml:2: a binary file"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", r"^p\.yaml:1: not UTF-8 text"),
    ],
)
def test_a_binary_file_is_refused(write: Write, raw: bytes, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_definition(write(raw, "p.yaml"))


def test_a_byte_order_mark_is_no_part_of_the_first_key(write: Write) -> None:
    assert read_definition(write(b"\xef\xbb\xbfa: 1\n")).data == {"a": 1}


def test_a_missing_file_names_the_shipped_definitions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = {"query_faiss": tmp_path / "query_faiss.yaml"}
    monkeypatch.setattr("lodestone.pipelines.definition.shipped_definitions", lambda: shipped)
    with pytest.raises(ConfigurationError, match=r"query_fais.*\(query_faiss\)\. Did you mean 'query_faiss'\?"):
        find_definition("query_fais.yaml")
    assert find_definition("query_faiss") == tmp_path / "query_faiss.yaml"


@pytest.mark.parametrize("name", ["", "\0", "a" * 5000, "no/such/file.yaml"])
def test_a_name_that_cannot_be_a_file_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="no pipeline definition"):
        find_definition(name)


def test_a_folder_is_not_a_definition(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not a file"):
        find_definition(tmp_path)


def test_shipped_definitions_lie_beside_the_modules() -> None:
    assert all(path.is_file() and path.suffix == ".yaml" for path in shipped_definitions().values())


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="abc:-[]{}&*!|>'\"# \n\t<?,0.%@`\\", max_size=60))
def test_no_text_does_anything_but_parse_or_be_refused_with_a_line(text: str) -> None:
    message = ""
    try:
        parse_definition(text, "x.yaml")
    except ConfigurationError as error:
        message = str(error) or "no message"
    assert all(re.match(r"x\.yaml:\d+: .", line) for line in message.splitlines())
