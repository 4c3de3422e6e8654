"""Metadata by rule: from a document's path, from its front matter, and what all have in common."""

import re
from dataclasses import dataclass, field
from typing import Any

# What passages use themselves.
RESERVED = {"encoding", "file_path", "headings", "page_number", "root", "source", "source_id", "split_id"}
RESERVED |= {"split_idx_start"}

_FRONT_MATTER = re.compile(rb"\A(?:\xef\xbb\xbf)?---[ \t]*\r?\n(?P<yaml>.*?\r?\n)---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_LONGEST = 64 * 1024
_DEEPEST = 20


@dataclass(frozen=True)
class MetadataRules:
    """What becomes metadata of a document's passages, besides what its converter finds.

    :param path: A path with names in braces for parts of it, such as `{team}/{year}/**`: a document whose path
        within the root, or with the root's name before it, is of that form gets these fields.
    :param front_matter: Fields that are taken from the YAML between `---` lines at a text's start.
    :param constant: Fields that every document gets.
    """

    path: str | None = None
    front_matter: tuple[str, ...] = ()
    constant: dict[str, Any] = field(default_factory=dict)

    def fields(self, root: str, path: str, data: bytes) -> dict[str, Any]:
        """The metadata of a document.

        :param root: Its root's name.
        :param path: Its path within the root.
        :param data: Its bytes.
        """
        found = dict(self.constant)
        if self.path is not None:
            pattern = path_pattern(self.path)
            match = pattern.fullmatch(path) or pattern.fullmatch(f"{root}/{path}")
            found |= match.groupdict() if match is not None else {}
        return found | _front_matter(data, self.front_matter) if self.front_matter else found


def path_pattern(template: str) -> re.Pattern[str]:
    """The form of a path.

    :param template: A path with `{name}` for a part of one name, `*` for any, `**` for any number of folders.
    :raises ValueError: If a name comes twice or is no name.
    """
    parts = []
    for token in re.split(r"(\{[^{}]*\}|\*\*/?|\*)", template):
        if token.startswith("{"):
            parts.append(f"(?P<{token[1:-1]}>[^/]+)")
        else:
            parts.append({"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}.get(token, re.escape(token)))
    try:
        return re.compile("".join(parts))
    except re.error as error:
        raise ValueError(str(error)) from error


def _front_matter(data: bytes, names: tuple[str, ...]) -> dict[str, Any]:
    """Fields of a text's front matter; none of one that is broken or unreasonable."""
    import yaml

    match = _FRONT_MATTER.match(data[:_LONGEST])
    if match is None:
        return {}
    try:
        front = yaml.safe_load(match["yaml"])
        if not isinstance(front, dict):
            return {}
        room = [_LONGEST]
        return {name: _plain(front[name], room) for name in names if front.get(name) is not None}
    except MemoryError:
        raise
    except Exception:  # PyYAML raises whatever making a value of a wrong tag does: KeyError, AttributeError...
        return {}


def _plain(value: Any, room: list[int], depth: int = 0) -> Any:
    """A value as JSON has it.

    :param value: The value; aliases can make it endless, or far longer than the text that it is from.
    :param room: How many characters and values there may still be, counted down.
    :param depth: How deep the value lies in others.
    :raises ValueError: If it is longer or deeper than that.
    """
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    plain: Any
    if isinstance(value, dict):
        plain = {_plain(str(key), room): _plain(entry, room, depth + 1) for key, entry in value.items()}
    elif isinstance(value, list):
        plain = [_plain(entry, room, depth + 1) for entry in value]
    else:
        plain = value if isinstance(value, str | int | float | bool) or value is None else str(value)
    room[0] -= len(plain) + 1 if isinstance(plain, str) else 1
    if room[0] < 0:
        raise ValueError("too long")
    return plain
