"""Which paths a job looks after."""

import re
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Patterns:
    """Glob patterns over POSIX paths within a root.

    `*` and `?` stay within a name, `**` spans folders, `[abc]` is one of some characters. A pattern without a slash is
    for names in any folder, one with a slash begins at the root. What is excluded is excluded with all that is in it.

    :param include: A path must match one of them; () for any path.
    :param exclude: Neither a path nor a folder that it is in may match one of them.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def accept(self, path: str) -> bool:
        """Whether a file is looked after."""
        included = not self.include or any(_compiled(pattern).fullmatch(path) for pattern in self.include)
        return included and not self.leave_out(path)

    def leave_out(self, path: str) -> bool:
        """Whether a file, a folder or what it is in is excluded."""
        if not self.exclude:
            return False
        ends = [at for at, character in enumerate(path) if character == "/"]
        return any(_compiled(pattern).fullmatch(path[:end]) for end in [*ends, len(path)] for pattern in self.exclude)


ALL = Patterns()
"""Patterns that leave nothing out."""


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    pattern = pattern.rstrip("/")
    pattern = pattern.lstrip("/") if "/" in pattern else f"**/{pattern}"
    parts = []
    for token in re.split(r"(\*\*/|/\*\*$|\*\*|\*|\?|\[!?[^\]/]+\])", pattern):
        match token:
            case "**/":
                parts.append("(?:.*/)?")
            case "/**":
                parts.append("/.*")
            case "**":
                parts.append(".*")
            case "*":
                parts.append("[^/]*")
            case "?":
                parts.append("[^/]")
            case _ if token.startswith("[") and token.endswith("]") and len(token) > 2:
                body = token[1:-1].replace("\\", r"\\").replace("[", r"\[")
                parts.append(f"[^{body[1:]}/]" if body.startswith("!") else f"[{body}]")
            case _:
                parts.append(re.escape(token))
    return re.compile("".join(parts), re.DOTALL)


def split_glob(path: str) -> tuple[str, str] | None:
    """Split a path with wildcards.

    :param path: A path as typed.
    :returns: The folder above the first name with a wildcard, and the pattern within it; None without wildcards.
    """
    names = path.split("/")
    first = next((at for at, name in enumerate(names) if re.search(r"[*?\[]", name)), None)
    if first is None:
        return None
    folder = "/".join(names[:first])
    return folder or ("/" if path.startswith("/") else "."), "/" + "/".join(names[first:])
