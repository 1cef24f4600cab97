"""Platt scaling: a slope and an offset a task, fitted on rows that the weights never saw."""

import torch
from torch import Tensor
from torch.nn import functional as F


def platt(logits: Tensor, label: Tensor) -> tuple[float, float]:
    """Returns (slope, offset) that minimise the log loss of `logits` [r] against `label` [r].

    The slope stays positive, so the order never changes. Fewer than 10 rows of either class give (1, 0).
    """
    positives = int(label.sum())
    if min(positives, len(label) - positives) < 10:
        return 1.0, 0.0
    parameters = torch.zeros(2, requires_grad=True)  # ln slope, offset
    solver = torch.optim.LBFGS([parameters], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        solver.zero_grad()
        loss = F.binary_cross_entropy_with_logits(logits * parameters[0].exp() + parameters[1], label)
        loss.backward()
        return loss

    solver.step(closure)
    slope, offset = float(parameters[0].detach().exp()), float(parameters[1].detach())
    return (slope, offset) if 0.05 < slope < 20 and abs(offset) < 20 else (1.0, 0.0)
