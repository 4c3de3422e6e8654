"""Files of questions: one JSON object a line."""

import json
from pathlib import Path
from typing import Any

from lodestone.components.errors import ConfigurationError
from lodestone.pipelines.answering import Filters, Question


def read_questions(path: Path, *, filters: Filters | None = None, top_k: int | None = None) -> list[Question]:
    """Read questions from JSONL: `query` (or `question`) and, optionally, `id`, `filters` and `top_k`.

    :param path: The file.
    :param filters: Filters that hold for every question, beside its own.
    :param top_k: For questions that have none of their own.
    :raises ConfigurationError: If the file cannot be read or a line is wrong: the message names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    questions = [
        _question(line, f"{path}:{number}", filters, top_k)
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    if not questions:
        raise ConfigurationError(f'{path} holds no questions; write one JSON object a line, such as {{"query": "..."}}')
    return questions


def _question(line: str, place: str, filters: Filters | None, top_k: int | None) -> Question:
    try:
        entry: Any = json.loads(line)
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"{place}: not JSON: {error}") from error
    if not isinstance(entry, dict):
        raise ConfigurationError(f"{place}: must be a JSON object with `query`, got {line.strip()[:60]}")
    text = entry.get("query", entry.get("question"))
    if not isinstance(text, str) or not text.strip():
        raise ConfigurationError(f"{place}: `query` must be a question, got {text!r}")
    own_k = entry.get("top_k")
    if own_k is not None and (not isinstance(own_k, int) or isinstance(own_k, bool) or own_k < 1):
        raise ConfigurationError(f"{place}: `top_k` must be a whole number of at least 1, got {own_k!r}")
    own = entry.get("filters")
    if own is not None and not isinstance(own, dict):
        raise ConfigurationError(f"{place}: `filters` must be a Haystack filter (an object), got {own!r}")
    both = [part for part in (filters, own) if part]
    merged = {"operator": "AND", "conditions": both} if len(both) > 1 else (both[0] if both else None)
    return Question(text, id=entry.get("id"), filters=merged, top_k=top_k if own_k is None else own_k)
