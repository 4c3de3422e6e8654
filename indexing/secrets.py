"""Keeping secrets out of what is written down."""

import re

HIDDEN = "<secret>"

_NAMES = "sig|signature|token|secret|password|passwd|pwd|credential|api[-_]?key|access[-_]?key|sas|key|code"
_IN_QUERY = re.compile(rf"([?&][\w.-]*(?:{_NAMES})[\w.-]*=)[^&\s\"'\\<>]+", re.IGNORECASE)
# GitHub's URLs name owner and repository there.
_IN_USER = re.compile(r"(?<!github)(://)[^/\s@\"'\\?#]*:[^/\s@\"'\\]*(?=@)", re.IGNORECASE)


def without_secrets(text: str) -> str:
    """A text whose URLs show no password, signature or key.

    :param text: Any text, such as a command or an error message.
    """
    return _IN_USER.sub(rf"\1{HIDDEN}", _IN_QUERY.sub(rf"\1{HIDDEN}", text))
