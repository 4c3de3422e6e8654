"""Reading a pipeline definition: YAML that nobody needs to trust, with the line of everything in it."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lodestone.components.errors import ConfigurationError
from lodestone.pipelines.problem import Problem, did_you_mean, one_line
from lodestone.pipelines.yaml_reader import YamlReader

MAX_BYTES = 1_000_000

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Definition:
    """
    A pipeline definition, as it stands in its file.

    :param path: The file it was read from.
    :param data: What it says, as plain values; no two places share an object. Usually a mapping, but that is for
        `validation.check` to say.
    :param lines: The line of every key and list item, by key path (`("components", "reader", "type")`), from 1.
    :param value_lines: The line where the value of that key or item starts, from 1.
    """

    path: Path
    data: Any
    lines: dict[KeyPath, int] = field(default_factory=dict)
    value_lines: dict[KeyPath, int] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """The file's name as messages show it: relative to the working directory where it lies below that."""
        try:
            return str(self.path.absolute().relative_to(Path.cwd())) if self.path.is_absolute() else str(self.path)
        except (ValueError, OSError):
            return str(self.path)

    def line(self, path: KeyPath, value: bool = False) -> int:
        """
        Find the line of a key or list item.

        :param path: Key path from the top of the definition.
        :param value: Whether to give the line of the value instead of the key's.
        :returns: The line, from 1; that of the nearest enclosing key if the path itself is not in the file.
        """
        lines = self.value_lines if value else self.lines
        for end in range(len(path), -1, -1):
            if path[:end] in lines:
                return lines[path[:end]]
        return 1

    def problem(self, path: KeyPath, message: str, value: bool = False) -> Problem:
        """
        Make a problem that points at a key or list item.

        :param path: Key path from the top of the definition.
        :param message: What is wrong and what would be right.
        :param value: Whether to point at the value's line instead of the key's.
        :returns: The problem.
        """
        return Problem(self.file, self.line(path, value), one_line(message, limit=1000))


def shipped_definitions() -> dict[str, Path]:
    """
    List the definitions that come with Lodestone.

    :returns: Their files by name (`query_faiss`), sorted by name.
    """
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*.yaml"))}


def find_definition(name_or_path: str | os.PathLike[str]) -> Path:
    """
    Find a definition by its path or by the name of one that is shipped.

    :param name_or_path: Path of a YAML file, or a shipped definition's name such as `query_faiss`. A file of that
        name in the working directory does not hide the shipped one; write `./query_faiss` to mean the file.
    :returns: The file's path.
    :raises ConfigurationError: If there is no such file and no shipped definition of that name.
    """
    shipped = shipped_definitions()
    name = os.fspath(name_or_path)
    if name in shipped:
        return shipped[name]
    path = Path(name)
    try:
        if name and path.is_file():
            return path
        found_something_else = bool(name) and path.exists()
    except (OSError, ValueError):
        found_something_else = False
    if found_something_else:
        raise ConfigurationError(f"{path} is not a file; name a pipeline definition (YAML)")
    known = ", ".join(shipped) if shipped else "none"
    stem = path.stem if path.suffix in (".yaml", ".yml") else name
    raise ConfigurationError(
        f"no pipeline definition {one_line(name, 200)!r}: it is neither a file nor the name of a shipped definition "
        f"({known}).{did_you_mean(stem, shipped)}"
    )


def read_definition(name_or_path: str | os.PathLike[str]) -> Definition:
    """
    Read a definition from its file.

    Only plain YAML is read: no Python objects, at most 1 MB, no key twice in one mapping, and no aliases that blow
    up into more than 100,000 values.

    :param name_or_path: Path of a YAML file, or a shipped definition's name such as `query_faiss`.
    :returns: The definition; whether it makes sense is for `validation.check` to say.
    :raises ConfigurationError: If the file cannot be read or is not plain YAML; the message has one line a problem,
        each with the file and the line.
    """
    path = find_definition(name_or_path)
    return parse_definition(_read_text(path), path)


def parse_definition(text: str, path: str | os.PathLike[str] = "<text>") -> Definition:
    """
    Read a definition from text.

    :param text: YAML.
    :param path: The file's name in messages.
    :returns: The definition.
    :raises ConfigurationError: As `read_definition`.
    """
    empty = Definition(Path(path), None)
    reader = YamlReader()
    try:
        data = reader.read(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigurationError(str(Problem(empty.file, line, _syntax_message(error)))) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"a character that YAML does not allow: {error.character!r}"
        raise ConfigurationError(str(Problem(empty.file, line, message))) from None
    except RecursionError:
        raise ConfigurationError(str(Problem(empty.file, 1, "too deeply nested to be a pipeline"))) from None
    if reader.mistakes:
        problems = [Problem(empty.file, line, message) for line, message in sorted(set(reader.mistakes))]
        raise ConfigurationError("\n".join(map(str, problems)))
    return Definition(Path(path), data, reader.lines, reader.value_lines)


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror or error}") from None
    if len(raw) > MAX_BYTES:
        raise ConfigurationError(f"{path}: larger than {MAX_BYTES:,} bytes, which no pipeline definition needs")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{path}:{line}: not UTF-8 text; a pipeline definition is YAML") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ConfigurationError(f"{path}:{line}: a binary file; a pipeline definition is YAML")
    return text


def _syntax_message(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or error.context or "not YAML"
    if "'\\t'" in problem:
        return "invalid YAML: a tab where YAML wants spaces; indent with spaces"
    context = f" ({error.context})" if error.context and error.context != problem else ""
    return one_line(f"invalid YAML: {problem}{context}")
