"""What training makes small."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def log_shares(logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Log of a softmax over the tokens of each window; padding has no part in it.

    :param logits: Shape (windows, tokens).
    :param mask: The same shape, 0 where padded.
    :returns: float32, the same shape.
    """
    import torch

    return torch.log_softmax(logits.float().masked_fill(mask == 0, torch.finfo(torch.float32).min), dim=-1)


def span_loss(
    start_logits: torch.Tensor, end_logits: torch.Tensor, mask: torch.Tensor, spans: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Half the negative log probability that the start and the end drawn are those of an accepted span.

    Of windows with one span it is the mean of the cross entropies of start and end, as transformers has it; of several
    the probabilities are summed (Clark & Gardner 2018), so that the model may choose among them.

    :param start_logits: Shape (windows, tokens).
    :param end_logits: The same shape.
    :param mask: The same shape, 0 where padded.
    :param spans: First and last token of each span, int64, shape (windows, spans, 2), -1 where there is none.
    :param weights: What each window counts, shape (windows,).
    :returns: The mean over the windows, a scalar.
    """
    import torch

    starts, ends = log_shares(start_logits, mask), log_shares(end_logits, mask)
    there = spans[..., 0] >= 0
    at = spans.clamp(min=0)
    both = starts.gather(1, at[..., 0]) + ends.gather(1, at[..., 1])
    both = both.masked_fill(~there, torch.finfo(torch.float32).min)
    return -0.5 * (weights * torch.logsumexp(both, dim=1)).mean()


def question_loss(
    start_logits: torch.Tensor,
    end_logits: torch.Tensor,
    mask: torch.Tensor,
    spans: torch.Tensor,
    members: torch.Tensor,
    weights: torch.Tensor,
) -> torch.Tensor:
    """`span_loss` with one distribution over all windows of a question (shared normalization, Clark & Gardner 2018).

    What is normalized are margins, the logits less those of their window's first token, by which the reader compares
    windows; beside the tokens of all windows there is one place more, "in none of them", whose margin is 0.

    :param start_logits: Shape (windows, tokens).
    :param end_logits: The same shape.
    :param mask: The same shape, 0 where padded.
    :param spans: As for `span_loss`; (0, 0) where a window does not hold the answer.
    :param members: Which windows are of which question, bool, shape (questions, windows).
    :param weights: What each window counts, shape (windows,); a question counts their mean.
    :returns: The mean over the questions, a scalar.
    """
    import torch

    lowest = torch.finfo(torch.float32).min
    nowhere = torch.zeros(len(members), 1, device=members.device)

    def over_windows(values: torch.Tensor) -> torch.Tensor:
        return values.expand(len(members), -1).masked_fill(~members, lowest)

    def shared(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The margins, and for each question the log of the sum of their exponentials."""
        margins = logits.float() - logits[:, :1].float()
        held = margins.masked_fill(mask == 0, lowest)[:, 1:].logsumexp(dim=1)
        return margins, torch.cat([over_windows(held), nowhere], dim=1).logsumexp(dim=1)

    (starts, all_starts), (ends, all_ends) = shared(start_logits), shared(end_logits)
    there = spans[..., 0] > 0
    at = spans.clamp(min=0)
    both = (starts.gather(1, at[..., 0]) + ends.gather(1, at[..., 1])).masked_fill(~there, lowest)
    accepted = over_windows(both.logsumexp(dim=1)).logsumexp(dim=1)
    answered = (members & there.any(dim=1)).any(dim=1)
    accepted = torch.where(answered, accepted, 0.0)
    counts = (members * weights).sum(dim=1) / members.sum(dim=1)
    return -0.5 * (counts * (accepted - all_starts - all_ends)).mean()


def teacher_loss(
    logits: torch.Tensor, teachers: torch.Tensor, mask: torch.Tensor, weights: torch.Tensor, temperature: float
) -> torch.Tensor:
    """How far the student's distribution over tokens is from its teachers' (Hinton et al. 2015), times temperature².

    Of several teachers it is the mean of their distributions that is learned.

    :param logits: The student's, shape (windows, tokens).
    :param teachers: The teachers', shape (teachers, windows, tokens).
    :param mask: The same shape, 0 where padded.
    :param weights: What each window counts, shape (windows,).
    :param temperature: What both are divided by.
    :returns: The mean Kullback-Leibler divergence over the windows in nats, a scalar.
    """
    import torch

    ours = log_shares(logits / temperature, mask)
    theirs = torch.logsumexp(log_shares(teachers.float() / temperature, mask), dim=0) - math.log(len(teachers))
    # Padding's share is 0 in both, but 0 times what its log differs by must not be taken for a number.
    gaps = (theirs.exp() * (theirs - ours)).masked_fill(mask == 0, 0.0)
    return temperature**2 * (weights * gaps.sum(dim=-1)).mean()
