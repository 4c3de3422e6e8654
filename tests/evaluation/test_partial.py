import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from lodestone.components.errors import ConfigurationError
from lodestone.evaluation.partial import BATCH, Entry, Partial, run_all, sampled


@dataclass(frozen=True)
class Item:
    id: str


ITEMS = [Item(str(number)) for number in range(3 * BATCH + 5)]


class Answerer:
    """Answers batches, and is stopped in the batch of that number."""

    def __init__(self, stopped_in: int | None = None) -> None:
        self.asked: list[str] = []
        self._left = stopped_in

    def __call__(self, batch: Sequence[Item]) -> list[Entry]:
        if self._left == 0:
            raise KeyboardInterrupt
        self._left = None if self._left is None else self._left - 1
        self.asked += [item.id for item in batch]
        return [{"id": item.id, "text": f"answer\u2028{item.id}"} for item in batch]


def stopped(path: Path, fingerprint: str = "f", batches: int = 2) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_all(ITEMS, Answerer(batches), Partial(path, fingerprint), None)


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    stopped(tmp_path / "p")
    answerer, told = Answerer(), []
    entries = run_all(ITEMS, answerer, Partial(tmp_path / "p", "f"), lambda done, total: told.append((done, total)))
    assert answerer.asked == [item.id for item in ITEMS[2 * BATCH :]]
    assert told == [(2 * BATCH, len(ITEMS)), (3 * BATCH, len(ITEMS))]
    assert entries == run_all(ITEMS, Answerer(), Partial(None, "f"), None)


def test_a_run_with_other_data_or_settings_begins_anew(tmp_path: Path) -> None:
    stopped(tmp_path / "p", "other")
    answerer = Answerer()
    run_all(ITEMS, answerer, Partial(tmp_path / "p", "f"), None)
    assert answerer.asked == [item.id for item in ITEMS]
    assert len(Partial(tmp_path / "p", "f").entries) == len(ITEMS)


@pytest.mark.parametrize("cut", [1, 2, 20])
def test_a_line_that_was_cut_off_is_answered_again(tmp_path: Path, cut: int) -> None:
    stopped(tmp_path / "p")
    (tmp_path / "p").write_bytes((tmp_path / "p").read_bytes()[:-cut])
    answerer = Answerer()
    entries = run_all(ITEMS, answerer, Partial(tmp_path / "p", "f"), None)
    assert answerer.asked == [item.id for item in ITEMS[2 * BATCH - 1 :]]
    assert [entry["id"] for entry in entries] == [item.id for item in ITEMS]
    assert Partial(tmp_path / "p", "f").entries == entries


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\n", b'{"fingerprint": "f"}', b"[]\n{}\n"])
def test_a_file_that_is_none_of_ours_counts_for_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p").write_bytes(content)
    partial = Partial(tmp_path / "p", "f")
    assert partial.entries == []
    partial.add([{"id": "1"}])
    lines = [json.loads(line) for line in (tmp_path / "p").read_text().splitlines()]
    assert lines == [{"fingerprint": "f"}, {"id": "1"}]


def test_nothing_is_written_before_something_is_answered(tmp_path: Path) -> None:
    stopped(tmp_path / "p", batches=0)
    assert not (tmp_path / "p").exists()


def test_a_sample_is_always_the_same_and_in_order() -> None:
    some = sampled(ITEMS, 20)
    assert len(some) == 20
    assert some == sampled(ITEMS, 20) == sorted(some, key=lambda item: int(item.id))
    assert sampled(ITEMS, None) == sampled(ITEMS, 10_000) == ITEMS
    with pytest.raises(ConfigurationError, match="at least 1 question, got 0"):
        sampled(ITEMS, 0)
