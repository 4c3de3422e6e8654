"""The actors that embed for a job: given batches, replaced when they are lost."""

from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from lodestone.components.errors import LodestoneError
from lodestone.indexing.backlog import Item
from lodestone.indexing.executors.ray_embedder import Answer

# One is embedded while the next is sent.
_BATCHES_AHEAD = 2
# A batch that takes so many actors with it would take any.
_TRIES = 4


class RayEmbedders:
    """A pool of actors.

    An actor whose machine is lost, or which is killed, is replaced by a new one, which takes part as soon as there is
    room for it in the cluster; what it had not answered goes to the others.

    :param start: Starts the actor of a number, without waiting for it.
    :param count: How many there are to be.
    """

    def __init__(self, start: Callable[[int], Any], count: int) -> None:
        self._start = start
        self._starting: dict[Any, tuple[int, Any]] = {}
        self._ready: dict[int, Any] = {}
        self._running: dict[Any, tuple[int, list[Item]]] = {}
        self._again: deque[list[Item]] = deque()
        self._losses: Counter[tuple[str, str]] = Counter()
        for number in range(count):
            self._add(number)

    @property
    def has_room(self) -> bool:
        """Whether it should be given another batch."""
        return not self._again and self._free() is not None

    @property
    def is_busy(self) -> bool:
        """Whether there are batches that were not answered."""
        return bool(self._running or self._again)

    def give(self, batch: list[Item]) -> None:
        """Give it a batch.

        :param batch: Documents with what became of them.
        """
        self._again.append(batch)
        self._hand_out()

    def drop_waiting(self) -> None:
        """Forget the batches that no actor has."""
        self._again.clear()

    def take(self, wait: float) -> list[Answer]:
        """Take what is done.

        :param wait: Seconds to wait for something.
        :returns: Answers of `RayEmbedder.embed`.
        :raises LodestoneError: If actors cannot be started, or a batch cannot be embedded.
        """
        import ray

        awaited = [*self._starting, *self._running]
        done = ray.wait(awaited, num_returns=1, timeout=wait)[0] if awaited else []
        answers = [answer for reference in done if (answer := self._settle(reference)) is not None]
        self._hand_out()
        return answers

    def close(self) -> None:
        """End the actors, whatever they are doing."""
        import ray

        for actor in [*self._ready.values(), *(actor for _, actor in self._starting.values())]:
            ray.kill(actor)

    def _settle(self, reference: Any) -> Answer | None:
        import ray
        from ray.exceptions import RayActorError, RayTaskError

        starting = self._starting.pop(reference, None)
        number, batch = (starting[0], None) if starting is not None else self._running.pop(reference)
        try:
            answer: Answer | None = ray.get(reference)
        except RayActorError as error:
            if error.actor_init_failed:
                raise LodestoneError(f"an embedder cannot be started in the cluster: {_last_line(error)}") from error
            self._lost(number, batch, error)
            return None
        except RayTaskError as error:
            if isinstance(error.cause, LodestoneError):
                raise error.cause from None
            raise
        if starting is not None:
            self._ready[number] = starting[1]
        return answer

    def _lost(self, number: int, batch: list[Item] | None, error: Exception) -> None:
        if batch is not None:
            self._again.append(batch)
            first = batch[0][0].key
            self._losses[first] += 1
            if self._losses[first] == _TRIES:
                raise LodestoneError(f"{_TRIES} embedders were lost over the same passages: {_last_line(error)}")
        # Of two batches that a lost actor had, the second finds its successor starting already.
        if self._ready.pop(number, None) is not None or batch is None:
            self._add(number)

    def _add(self, number: int) -> None:
        actor = self._start(number)
        self._starting[actor.ready.remote()] = (number, actor)

    def _hand_out(self) -> None:
        while self._again and (number := self._free()) is not None:
            batch = self._again.popleft()
            self._running[self._ready[number].embed.remote(batch)] = (number, batch)

    def _free(self) -> int | None:
        """The actor with the least to do, if it can take more."""
        load = dict.fromkeys(self._ready, 0)
        for number, _ in self._running.values():
            if number in load:
                load[number] += 1
        least = min(load, key=lambda number: load[number], default=None)
        return least if least is not None and load[least] < _BATCHES_AHEAD else None


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
