"""Bootstrap intervals, 95 %: what the valid metrics would be on other valid groups."""

import numpy as np

RESAMPLES = 400
EDGES = (2.5, 97.5)


def mean(values: np.ndarray, seed: int) -> tuple[float, float]:
    """Returns the interval of the mean of `values` [n], each drawn as a whole."""
    draws = [float(values @ counts) / len(values) for counts in _counts(len(values), seed)]
    return _edges(draws)


def auc(score: np.ndarray, label: np.ndarray, group: np.ndarray, seed: int) -> tuple[float, float] | None:
    """Returns the interval of the area under the ROC curve over `score` and `label` [n], drawing whole groups.

    `None` where one class is absent. A draw without one of the classes is left out. `O(n log n + resamples * n)`.
    """
    if label.min() == label.max():
        return None
    _, tie = np.unique(score, return_inverse=True)
    _, group = np.unique(group, return_inverse=True)
    areas = []
    for counts in _counts(int(group.max()) + 1, seed):
        area = weighted_auc(tie, label, counts[group])
        if area is not None:
            areas.append(area)
    return _edges(areas)


def weighted_auc(tie: np.ndarray, label: np.ndarray, weight: np.ndarray) -> float | None:
    """Returns the area where row k counts `weight[k]` times; `tie` [n] is the score's rank among distinct scores, from 0."""
    positive = np.bincount(tie, weight * (label > 0), minlength=tie.max() + 1)
    negative = np.bincount(tie, weight * (label <= 0), minlength=tie.max() + 1)
    pairs = positive.sum() * negative.sum()
    if pairs == 0:
        return None
    below = np.cumsum(negative) - negative
    return float((positive * (below + negative / 2)).sum() / pairs)


def _counts(n: int, seed: int):
    """Yields how often each of n things was drawn, n draws with replacement."""
    rng = np.random.default_rng(seed)
    for _ in range(RESAMPLES):
        yield np.bincount(rng.integers(0, n, n), minlength=n)


def _edges(draws: list[float]) -> tuple[float, float]:
    low, high = np.percentile(draws, EDGES)
    return float(low), float(high)
