import pytest

from lodestone.indexing.contents import Text
from lodestone.indexing.progress import FileDone
from lodestone.indexing.sources import SourceFile
from lodestone.indexing.tracking import Tracker


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def file(name: str, size: int = 1000) -> SourceFile:
    return SourceFile("root", name, Text("x"), size, 0, f"docs/{name}")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tracker(clock: Clock) -> Tracker:
    return Tracker(clock)


def test_files_move_from_queue_to_queue_until_they_are_done(tracker: Tracker) -> None:
    files = [file(f"{number}.txt") for number in range(5)]
    tracker.start(5, 5000, [])

    def queues() -> tuple[int, int, int, int]:
        state = tracker.state
        return state.to_convert, state.to_embed, state.to_write, state.files

    assert queues() == (5, 0, 0, 0)
    for source in files[:4]:
        tracker.converted(source)
    assert queues() == (1, 4, 0, 0)
    tracker.embedding([(source, 2) for source in files[:3]])
    tracker.embedded(6)
    assert queues() == (1, 4, 0, 0)
    tracker.writing(3)
    assert queues() == (1, 1, 3, 0)
    for source in files[:2]:
        tracker.done(FileDone(source.shown, "indexed", source.size, 2))
    assert queues() == (1, 1, 1, 2)
    assert (tracker.state.passages, tracker.state.size) == (4, 2000)


def test_the_rate_is_that_of_the_last_seconds_and_falls_when_nothing_comes(tracker: Tracker, clock: Clock) -> None:
    tracker.start(1, 1000, [])
    tracker.embedding([(file("a.txt"), 10_000)])
    for _ in range(30):
        clock.now += 1
        tracker.embedded(100)
    assert tracker.state.rate == pytest.approx(100)
    for _ in range(12):
        clock.now += 1
        tracker.embedded(10)
    assert tracker.state.rate == pytest.approx(10)
    clock.now += 5
    assert tracker.state.rate == pytest.approx(10)
    clock.now += 95
    assert tracker.state.rate < 1.1


def test_a_pipeline_without_an_embedder_is_as_fast_as_what_comes(tracker: Tracker, clock: Clock) -> None:
    tracker.start(1, 1000, [])
    clock.now += 25
    tracker.embedding([(file("a.txt"), 5000)])
    tracker.embedded(5000)
    assert tracker.state.rate == pytest.approx(200)


def test_a_slow_embedder_is_not_called_stuck_between_two_batches(tracker: Tracker, clock: Clock) -> None:
    tracker.start(1, 1000, [])
    tracker.embedding([(file("a.txt"), 10_000)])
    for _ in range(3):
        clock.now += 40
        tracker.embedded(400)
    clock.now += 35
    assert tracker.state.rate == pytest.approx(10)


def test_the_time_left_is_reckoned_from_bytes_that_are_embedded(tracker: Tracker, clock: Clock) -> None:
    small, large = file("small.txt", 1000), file("large.txt", 9000)
    tracker.start(2, 10_000, [])
    assert tracker.state.seconds_left is None
    clock.now += 10
    tracker.embedding([(small, 100)])
    tracker.embedded(100)
    tracker.writing(1)
    assert (tracker.state.share, tracker.state.seconds_left) == (pytest.approx(0.1), pytest.approx(90))
    tracker.embedding([(large, 900)])
    clock.now += 40
    tracker.embedded(450)
    assert (tracker.state.share, tracker.state.seconds_left) == (pytest.approx(0.55), pytest.approx(50 * 0.45 / 0.55))
    assert tracker.state.embedding == ("docs/large.txt", 450, 900)
    clock.now += 3
    assert tracker.state.seconds_left == pytest.approx(50 * 0.45 / 0.55)


def test_a_file_that_is_converted_for_long_is_named_while_it_is(tracker: Tracker, clock: Clock) -> None:
    tracker.start(2, 2000, [])
    tracker.converting("docs/a.pdf", 1.0)
    assert tracker.state.converting is None
    tracker.converting("docs/a.pdf", 31.0)
    assert tracker.state.converting == ("docs/a.pdf", 31.0)
    assert tracker.state.to_dict()["converting"] == {"path": "docs/a.pdf", "seconds": 31.0}
    tracker.converted(file("a.pdf"))
    assert tracker.state.converting is None
    tracker.converting("docs/b.pdf", 9.0)
    clock.now += 5
    assert tracker.state.converting is None


def test_failures_are_counted_with_what_could_not_be_looked_at(tracker: Tracker) -> None:
    tracker.start(1, 0, [FileDone("docs/secret", "failed", reason="cannot be listed"), FileDone("docs/l", "skipped")])
    assert (tracker.state.failed, tracker.state.files, tracker.state.of) == (1, 0, 1)
    tracker.converted(file("a.txt", 0))
    tracker.done(FileDone("docs/a.txt", "failed", reason="the file is empty"))
    last = tracker.state.last_failure
    assert last is not None
    assert (tracker.state.failed, last.path, tracker.state.to_embed, tracker.state.share) == (2, "docs/a.txt", 0, 0.0)


def test_rows_of_a_table_are_counted_as_they_come(tracker: Tracker) -> None:
    tracker.start(1, 100, [])
    for number in range(50):
        tracker.converted(file(str(number), 3))
        tracker.done(FileDone(str(number), "indexed", 3, 1))
    state = tracker.state
    assert (state.files, state.of, state.size, state.of_size, state.share) == (50, 50, 150, 150, 1.0)
