"""Front matter that nobody writes by accident."""

import pytest

from lodestone.indexing import MetadataRules


def fields(yaml: str) -> dict[str, object]:
    return MetadataRules(front_matter=("tags",)).fields("root", "a.md", f"---\n{yaml}\n---\ntext".encode())


def test_a_value_is_as_json_has_it() -> None:
    assert fields("tags: {1: [a, 2.5, true, 2020-01-02]}") == {"tags": {"1": ["a", 2.5, True, "2020-01-02"]}}


@pytest.mark.parametrize("value", ["!!bool foo", "!!int ''", "!!timestamp x", "&a [*a]", "[" * 30 + "]" * 30])
def test_what_no_value_can_be_made_of_is_left_out(value: str) -> None:
    assert fields(f"tags: {value}") == {}


def test_aliases_of_aliases_do_not_grow_without_end() -> None:
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)), "tags: *a11"]
    assert fields("\n".join(lines)) == {}
    assert fields(f"long: &long {'x' * 1000}\ntags: [{', '.join(['*long'] * 100)}]") == {}
