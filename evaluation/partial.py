"""What an evaluation that was stopped had done, so that the same command goes on from there."""

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from lodestone.components.errors import ConfigurationError


class Identified(Protocol):
    """Anything with an id of its own, such as a question."""

    @property
    def id(self) -> str:
        """The id."""
        ...


Item = TypeVar("Item", bound=Identified)
Entry = dict[str, Any]
Progress = Callable[[int, int], None]
"""Told how many questions are done, and of how many."""

BATCH = 64


class Partial:
    """A file of JSON lines: first a fingerprint of all that decides the results, then one line a question.

    :param path: The file; None keeps nothing.
    :param fingerprint: Of the data, the model and the settings: a file with another one is begun anew.
    """

    def __init__(self, path: Path | None, fingerprint: str) -> None:
        self._path = path
        self._head: Entry = {"fingerprint": fingerprint}
        self._good = 0
        self.entries: list[Entry] = []
        if path is not None and path.exists():
            self._take_up(path)

    def add(self, entries: Sequence[Entry]) -> None:
        """Keep entries; each has an `id`."""
        self.entries.extend(entries)
        if self._path is None:
            return
        with self._path.open("ab") as stream:
            # What was cut off when the process was killed, or belongs to another run, goes.
            stream.truncate(self._good)
            for entry in entries if self._good else [self._head, *entries]:
                self._good += stream.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")

    def _take_up(self, path: Path) -> None:
        """Read the entries of a file with the same fingerprint, as far as it is whole."""
        for line in path.read_bytes().splitlines(keepends=True):
            try:
                entry = json.loads(line)
            except ValueError:
                break
            if not line.endswith(b"\n") or (not self._good and entry != self._head):
                break
            if self._good:
                self.entries.append(entry)
            self._good += len(line)


def sampled(items: Sequence[Item], sample: int | None) -> list[Item]:
    """Some of the questions, always the same ones.

    :param items: The questions.
    :param sample: How many; None, or more than there are, for all.
    :returns: They, in their order.
    :raises ConfigurationError: If fewer than 1 are asked for.
    """
    if sample is None:
        return list(items)
    if sample < 1:
        raise ConfigurationError(f"a sample has at least 1 question, got {sample}")
    places = random.Random(0).sample(range(len(items)), min(sample, len(items)))
    return [items[place] for place in sorted(places)]


def run_all(
    items: Sequence[Item],
    answer: Callable[[Sequence[Item]], list[Entry]],
    partial: Partial,
    progress: Progress | None,
) -> list[Entry]:
    """Answer what is not answered yet, batch by batch, and keep every batch at once.

    :param items: The questions.
    :param answer: Answers a batch: one entry with the question's `id` for each.
    :param partial: Where answered ones are, and new ones go.
    :param progress: Told how many are done; None for nobody.
    :returns: An entry for each item, in their order.
    """
    done = {entry["id"]: entry for entry in partial.entries}
    todo = [item for item in items if item.id not in done]
    for start in range(0, len(todo), BATCH):
        if progress is not None:
            progress(len(items) - len(todo) + start, len(items))
        entries = answer(todo[start : start + BATCH])
        partial.add(entries)
        done |= {entry["id"]: entry for entry in entries}
    return [done[item.id] for item in items]
