import pytest
import torch

from lodestone.training.losses import question_loss, span_loss, teacher_loss


def logits(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), requires_grad=True)


MASK = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])
SPANS = torch.tensor([[[2, 4]], [[0, 0]]])
ONES = torch.ones(2)


def test_the_loss_of_one_span_is_transformers_own() -> None:
    start, end = logits(2, 6), logits(2, 6, seed=1)
    whole = torch.ones_like(MASK)
    cross = torch.nn.functional.cross_entropy
    expected = (cross(start, SPANS[:, 0, 0]) + cross(end, SPANS[:, 0, 1])) / 2
    torch.testing.assert_close(span_loss(start, end, whole, SPANS, ONES), expected)


def test_of_several_spans_the_probabilities_are_summed() -> None:
    start, end = logits(1, 6), logits(1, 6, seed=1)
    spans = torch.tensor([[[1, 2], [3, 5], [-1, -1]]])
    p, q = start.softmax(-1)[0], end.softmax(-1)[0]
    expected = -0.5 * torch.log(p[1] * q[2] + p[3] * q[5])
    found = span_loss(start, end, torch.ones(1, 6), spans, torch.ones(1))
    torch.testing.assert_close(found, expected)


def test_padding_changes_neither_loss_nor_gradient() -> None:
    start, end = logits(2, 6), logits(2, 6, seed=1)
    loss = span_loss(start, end, MASK, SPANS, ONES)
    short = span_loss(start[1:, :4], end[1:, :4], MASK[1:, :4], SPANS[1:], torch.ones(1))
    alone = span_loss(start[:1], end[:1], MASK[:1], SPANS[:1], torch.ones(1))
    torch.testing.assert_close(loss, (short + alone) / 2)
    loss.backward()
    assert start.grad is not None
    assert (start.grad[1, 4:] == 0).all()
    assert start.grad.isfinite().all()


def test_a_window_counts_what_it_weighs() -> None:
    start, end = logits(2, 6), logits(2, 6, seed=1)
    first, second = (
        span_loss(start[row : row + 1], end[row : row + 1], MASK[row : row + 1], SPANS[row : row + 1], torch.ones(1))
        for row in (0, 1)
    )
    weighed = span_loss(start, end, MASK, SPANS, torch.tensor([0.5, 1.5]))
    torch.testing.assert_close(weighed, (0.5 * first + 1.5 * second) / 2)


def test_the_teachers_loss_is_the_divergence_from_it_and_none_from_itself() -> None:
    ours, theirs = logits(2, 6), logits(2, 6, seed=1).detach()
    assert teacher_loss(theirs, theirs[None], MASK, ONES, 1.5).item() == pytest.approx(0, abs=1e-6)
    whole = torch.ones_like(MASK)
    divergence = torch.nn.functional.kl_div(
        (ours / 1.5).log_softmax(-1), (theirs / 1.5).softmax(-1), reduction="batchmean"
    )
    torch.testing.assert_close(teacher_loss(ours, theirs[None], whole, ONES, 1.5), 1.5**2 * divergence)


def test_of_several_teachers_the_mean_of_their_distributions_is_learned() -> None:
    ours, whole = logits(2, 6), torch.ones_like(MASK)
    teachers = torch.stack([logits(2, 6, seed=seed).detach() for seed in (1, 2, 3)])
    mean = (teachers / 2).softmax(-1).mean(0)
    divergence = (mean * (mean.log() - (ours / 2).log_softmax(-1))).sum(-1).mean()
    torch.testing.assert_close(teacher_loss(ours, teachers, whole, ONES, 2.0), 4 * divergence)
    alike = torch.stack([teachers[0]] * 3)
    alone = teacher_loss(ours, teachers[:1], whole, ONES, 2.0)
    torch.testing.assert_close(teacher_loss(ours, alike, whole, ONES, 2.0), alone)


def test_padding_has_no_part_in_the_teachers_loss() -> None:
    ours, theirs = logits(2, 6), logits(2, 6, seed=1).detach()
    loss = teacher_loss(ours, theirs[None], MASK, ONES, 2.0)
    theirs[1, 4:] = 99.0
    torch.testing.assert_close(teacher_loss(ours, theirs[None], MASK, ONES, 2.0), loss)
    loss.backward()
    assert ours.grad is not None
    assert ours.grad.isfinite().all()
    assert (ours.grad[1, 4:] == 0).all()


def test_of_windows_of_one_question_the_margins_share_one_distribution() -> None:
    start, end = logits(3, 6), logits(3, 6, seed=1)
    mask = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 0]])
    # The first two windows are of one question, of which the second holds no answer, the third is of another.
    spans = torch.tensor([[[2, 4], [3, 3]], [[0, 0], [-1, -1]], [[0, 0], [-1, -1]]])
    weights = torch.tensor([2.0, 1.0, 0.5])
    members = torch.tensor([[True, True, False], [False, False, True]])
    found = question_loss(start, end, mask, spans, members, weights)

    def shares(given: torch.Tensor, rows: list[int]) -> torch.Tensor:
        """Of "in none of them", then of the tokens of all windows behind the first."""
        margins = [(given[row] - given[row, 0])[1 : int(mask[row].sum())] for row in rows]
        return torch.cat([torch.zeros(1), *margins]).softmax(0)

    p, q = shares(start, [0, 1]), shares(end, [0, 1])
    first = -0.5 * torch.log(p[2] * q[4] + p[3] * q[3])
    second = -0.5 * torch.log(shares(start, [2])[0] * shares(end, [2])[0])
    torch.testing.assert_close(found, (1.5 * first + 0.5 * second) / 2)
    found.backward()
    assert start.grad is not None
    assert start.grad.isfinite().all()
    assert (start.grad[mask == 0] == 0).all()


def test_a_question_of_one_window_has_the_loss_of_its_window() -> None:
    start, end = logits(2, 6), logits(2, 6, seed=1)
    together = question_loss(start, end, MASK, SPANS, torch.eye(2, dtype=torch.bool), ONES)
    torch.testing.assert_close(together, span_loss(start, end, MASK, SPANS, ONES))
