"""YAML to plain values, with the line of every key and limits on what a file may do."""

from typing import Any, cast

import yaml

MAX_VALUES = 100_000
MAX_DEPTH = 100

_PREFIX = "tag:yaml.org,2002:"
_TUPLE = _PREFIX + "python/tuple"
_MERGE = _PREFIX + "merge"
_MAPPINGS = {_PREFIX + "map", _PREFIX + "set"}
_SEQUENCES = {_PREFIX + "seq", _TUPLE}
_SCALARS = {_PREFIX + name for name in ("null", "bool", "int", "float", "binary", "timestamp", "str", "value")}


class YamlReader:
    """
    Reads one YAML document into plain values of its own, no two of them shared.

    After `read`, `lines` and `value_lines` hold the line of every key and of every value by key path, from 1, and
    `mistakes` holds (line, message) of everything that is YAML but not allowed here: keys that occur twice, keys
    that are not plain text or numbers, Python objects, aliases that contain themselves or blow up.
    """

    def __init__(self) -> None:
        self.lines: dict[tuple[str | int, ...], int] = {}
        self.value_lines: dict[tuple[str | int, ...], int] = {}
        self.mistakes: list[tuple[int, str]] = []
        self._sizes: dict[int, int] = {}

    def read(self, text: str) -> Any:
        """
        Read a document.

        :param text: The YAML text.
        :returns: None for an empty document, else its value; meaningless if there are `mistakes`.
        :raises yaml.YAMLError: If the text is not YAML.
        :raises RecursionError: If it is nested more deeply than Python's stack allows.
        """
        loader = yaml.SafeLoader(text)
        try:
            root = loader.get_single_node()
            if root is None:
                return None
            self._loader = loader
            if self._size(root, set(), 1) > MAX_VALUES and not self.mistakes:
                self._refuse(root, f"aliases that expand to more than {MAX_VALUES:,} values; write them out")
            if self.mistakes:
                return None
            return self._convert(root, ())
        finally:
            loader.dispose()

    def _size(self, node: yaml.Node, above: set[int], depth: int) -> int:
        """Count the values that a node expands to, before anything is expanded."""
        if id(node) in above:
            self._refuse(node, "an alias to something that it is itself part of")
            return 1
        if depth > MAX_DEPTH:
            self._refuse(node, f"nested more than {MAX_DEPTH} levels deep")
            return 1
        if id(node) not in self._sizes:
            size = 1
            above.add(id(node))
            if isinstance(node, yaml.MappingNode):
                for key, value in node.value:
                    size += self._size(key, above, depth + 1) + self._size(value, above, depth + 1)
            elif isinstance(node, yaml.SequenceNode):
                size += sum(self._size(item, above, depth + 1) for item in node.value)
            above.remove(id(node))
            self._sizes[id(node)] = size
        return self._sizes[id(node)]

    def _convert(self, node: yaml.Node, path: tuple[str | int, ...]) -> Any:
        self.value_lines[path] = _line(node)
        self.lines.setdefault(path, _line(node))
        if isinstance(node, yaml.MappingNode) and node.tag in _MAPPINGS:
            values = self._convert_mapping(node, path)
            return set(values) if node.tag.endswith(":set") else values
        if isinstance(node, yaml.SequenceNode) and node.tag in _SEQUENCES:
            for index, item in enumerate(node.value):
                self.lines[(*path, index)] = _line(item)
            items = [self._convert(item, (*path, index)) for index, item in enumerate(node.value)]
            return tuple(items) if node.tag == _TUPLE else items
        if isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS:
            return self._scalar(node)
        self._refuse(node, f"the YAML tag {node.tag!r} is not allowed; only plain values are")
        return None

    def _convert_mapping(self, node: yaml.MappingNode, path: tuple[str | int, ...]) -> dict[str | int, Any]:
        self._refuse_repeated_keys(node)
        try:
            self._loader.flatten_mapping(node)
        except yaml.constructor.ConstructorError as error:
            self._refuse(node, f"a merge key (<<) that cannot be merged: {error.problem}")
            return {}
        # Merged keys come first, so the mapping's own keys win.
        pairs = {key: (key_node, value) for key_node, value in node.value if (key := self._key(key_node)) is not None}
        values: dict[str | int, Any] = {}
        for key, (key_node, value) in pairs.items():
            self.lines[(*path, key)] = _line(key_node)
            values[key] = self._convert(value, (*path, key))
        return values

    def _refuse_repeated_keys(self, node: yaml.MappingNode) -> None:
        first: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue
            if key.value in first:
                self._refuse(key, f"the key {key.value!r} was already given on line {first[key.value]}")
            first.setdefault(key.value, _line(key))

    def _key(self, node: yaml.Node) -> str | int | None:
        """Keys are text or numbers; `yes`, `null` and dates as keys are what somebody forgot to quote."""
        if isinstance(node, yaml.ScalarNode):
            if node.tag in (_PREFIX + "str", _PREFIX + "value"):
                return cast(str, node.value)
            if node.tag == _PREFIX + "int":
                return cast("int | None", self._scalar(node))
            self._refuse(node, f"the key {node.value!r} is not read as text; put it in quotes")
            return None
        self._refuse(node, "a key that is a list or a mapping; keys are plain text")
        return None

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        try:
            return self._loader.construct_object(node)
        except (ValueError, KeyError, yaml.constructor.ConstructorError):
            kind = node.tag.removeprefix(_PREFIX)
            self._refuse(node, f"{node.value[:60]!r} is not a valid {kind}; put it in quotes if it is text")
            return None

    def _refuse(self, node: yaml.Node, message: str) -> None:
        self.mistakes.append((_line(node), message))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
