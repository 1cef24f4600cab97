"""Sampled softmax over one shared candidate set, corrected for how likely each track was to be in it."""

import torch
from torch import Tensor
from torch.nn import functional as F

NEVER = -1e4  # a logit whose probability is 0 and whose gradient is finite


class CandidateSampler:
    """Draws the distinct union of a batch's targets and uniform random tracks.

    With `uniform` >= tracks the set is the whole catalogue, no correction is needed and the loss is the exact softmax.
    """

    def __init__(self, plays: Tensor, uniform: int) -> None:
        self.tracks = len(plays)
        self.uniform = min(uniform, self.tracks)
        self.share = plays.double() / plays.sum().clamp(min=1)

    def draw(self, target: Tensor) -> Tensor:
        """Returns sorted distinct track rows [C] that hold every `target` [B]."""
        if self.uniform == self.tracks:
            return torch.arange(self.tracks)
        return torch.cat([target, torch.randint(self.tracks, (self.uniform,))]).unique()

    def log_inclusion(self, candidates: Tensor, batch: int) -> Tensor:
        """Returns log P(track in the set) [C] for `batch` targets drawn by popularity, to be taken off the logits."""
        if self.uniform == self.tracks:
            return torch.zeros(len(candidates))
        missed = (1 - self.share[candidates]) ** batch * (1 - 1 / self.tracks) ** self.uniform
        return torch.log1p(-missed).float()


def loss(logits: Tensor, target: Tensor, hard: Tensor | None) -> Tensor:
    """Returns the mean cross-entropy of corrected `logits` [B, C] whose column `target` [B] is right.

    Each candidate is a column once, so a target is never its own negative. `hard` [B, H] are logits of extra negatives,
    `NEVER` where there is none.
    """
    if hard is None:
        return F.cross_entropy(logits, target)
    total = torch.logaddexp(logits.logsumexp(1), hard.logsumexp(1))
    return (total - logits.gather(1, target.unsqueeze(1)).squeeze(1)).mean()
