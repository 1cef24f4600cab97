"""Ranking and probability metrics. Higher is better but for `calibration_error`."""

import numpy as np
import torch
from torch import Tensor


def ranks(scores: Tensor, target: Tensor) -> Tensor:
    """Returns the rank from 1 of column `target` [B] in each row of `scores` [B, n]; ties count against it by half."""
    own = scores.gather(1, target.unsqueeze(1))
    return 1 + (scores > own).sum(1) + ((scores == own).sum(1) - 1) // 2


def auc(score: np.ndarray, label: np.ndarray) -> float | None:
    """Returns the area under the ROC curve (ties: half), or `None` where one class is absent."""
    positives = int(label.sum())
    negatives = len(label) - positives
    if positives == 0 or negatives == 0:
        return None
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2
    return float((mean_rank[inverse][label > 0].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def calibration_error(probability: np.ndarray, label: np.ndarray, bins: int = 15) -> float:
    """Returns the expected calibration error over equally filled bins (ECE): mean |stated - observed|."""
    order = np.argsort(probability, kind="stable")
    parts = [p for p in np.array_split(order, bins) if len(p)]
    gaps = [len(p) * abs(float(probability[p].mean() - label[p].mean())) for p in parts]
    return sum(gaps) / max(1, len(order))


def group_ndcg(scores: Tensor, relevant: Tensor, k: int) -> float:
    """Returns the mean of `group_ndcgs`; 0 when no group counts."""
    each = group_ndcgs(scores, relevant, k)
    return float(each.mean()) if len(each) else 0.0


def group_ndcgs(scores: Tensor, relevant: Tensor, k: int) -> Tensor:
    """Returns NDCG@k of each padded group that has something relevant: `scores` [g, L] (-inf = padding), `relevant` [g, L] bool."""
    keep = relevant.any(1)
    scores, relevant = scores[keep], relevant[keep]
    order = scores.argsort(dim=1, descending=True, stable=True)[:, :k]
    gain = 1 / torch.log2(torch.arange(2, order.shape[1] + 2, dtype=torch.float32))
    reached = (relevant.gather(1, order) * gain).sum(1)
    ideal = torch.cat([torch.zeros(1), gain.cumsum(0)])[relevant.sum(1).clamp(max=order.shape[1])]
    return reached / ideal
