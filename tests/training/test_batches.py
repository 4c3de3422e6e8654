import numpy as np
import pytest

from lodestone.training.batches import BatchOrder

LENGTHS = np.random.default_rng(0).integers(20, 384, 1000)


def batches(epoch: int = 0, size: int = 8, seed: int = 0, process: int = 0, processes: int = 1) -> list[list[int]]:
    order = BatchOrder(LENGTHS, size, seed, process, processes)
    order.set_epoch(epoch)
    return list(order)


@pytest.mark.parametrize(("size", "processes"), [(8, 1), (7, 1), (8, 2), (7, 3), (1000, 1), (600, 2), (2048, 1)])
def test_an_epoch_holds_every_window_and_all_batches_are_full(size: int, processes: int) -> None:
    shares = [batches(size=size, process=each, processes=processes) for each in range(processes)]
    assert len({len(share) for share in shares}) == 1
    assert len(shares[0]) == len(BatchOrder(LENGTHS, size, 0, 0, processes))
    assert {len(batch) for share in shares for batch in share} == {size}
    assert {number for share in shares for batch in share for number in batch} == set(range(len(LENGTHS)))


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    assert batches(epoch=3) == batches(epoch=3)
    assert batches(epoch=3) != batches(epoch=4)
    assert batches(seed=1) != batches(seed=2)


def test_processes_share_the_batches_that_one_would_have() -> None:
    one = list(BatchOrder(LENGTHS, 8, 0, passes=4))
    two = [list(BatchOrder(LENGTHS, 8, 0, process, 2, passes=2)) for process in (0, 1)]
    assert len(one) == 128
    assert [batch for pair in zip(*two, strict=True) for batch in pair] == one


def test_little_is_padded_and_lengths_come_in_random_order() -> None:
    padded = sum(LENGTHS[batch].max() * len(batch) for batch in batches())
    assert padded < 1.03 * LENGTHS.sum()
    longest = np.array([LENGTHS[batch].max() for batch in batches()])
    assert abs(np.corrcoef(longest[:-1], longest[1:])[0, 1]) < 0.3
