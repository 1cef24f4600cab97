"""A weighted sum of standardised scores; the weights are those that rank validation best."""

import numpy as np
import scipy.sparse as sp

from . import ranking

SHORT = 500  # candidates a listener among which weights are compared
STEPS = (0.0, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0)


def standardise(scores: np.ndarray) -> np.ndarray:
    """Gives every row mean 0 and deviation 1 (a constant row: 0)."""
    spread = scores.std(1, keepdims=True)
    return (scores - scores.mean(1, keepdims=True)) / np.where(spread > 0, spread, 1)


def weights(parts: list[np.ndarray], valid: sp.csr_matrix, seen: sp.csr_matrix, k: int = 10) -> list[float]:
    """Returns a weight for each of `parts` (standardised, [m, n]) by coordinate ascent on validation NDCG@k.

    Compared over the `SHORT` best by the plain sum: a full ranking for each trial would take a hundred times as long.
    """
    counts = np.diff(valid.indptr)
    keep = np.flatnonzero(counts > 0)
    short = ranking.best(sum(part[keep] for part in parts), seen[keep], min(SHORT, parts[0].shape[1]))
    near = [np.take_along_axis(part[keep], short, 1) for part in parts]
    wanted = ranking.hits(short, valid[keep])

    def goal(trial: list[float]) -> float:
        order = np.argsort(-combine(near, trial), axis=1, kind="stable")[:, :k]
        return float(ranking.ndcg(np.take_along_axis(wanted, order, 1), counts[keep]).mean())

    chosen = [1.0] * len(parts)
    for _ in range(2):
        for at in range(len(parts)):
            trials = [chosen[:at] + [step] + chosen[at + 1:] for step in STEPS]
            chosen = max(filter(any, trials), key=goal)
    return chosen


def combine(parts: list[np.ndarray], by: list[float]) -> np.ndarray:
    """Returns the weighted sum."""
    return sum(weight * part for weight, part in zip(by, parts))
