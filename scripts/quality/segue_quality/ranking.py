"""Ranking metrics a listener, over the whole catalogue."""

import numpy as np
import scipy.sparse as sp
import torch


def best(scores: np.ndarray, seen: sp.csr_matrix, k: int) -> np.ndarray:
    """Returns the `k` best columns of each row of `scores` [m, n], best first, without those in `seen`."""
    masked = torch.from_numpy(scores.copy())
    masked[seen.nonzero()] = -torch.inf
    return torch.topk(masked, k).indices.numpy()


def hits(lists: np.ndarray, wanted: sp.csr_matrix) -> np.ndarray:
    """Returns which entries of `lists` [m, k] are in `wanted`, as bool [m, k]."""
    rows = np.repeat(np.arange(len(lists)), lists.shape[1])
    return np.asarray(wanted[rows, lists.ravel()] > 0).reshape(lists.shape)


def recall(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Returns the part of the `wanted` [m] (counts above 0) that `found` [m, k] holds, per row."""
    return found.sum(1) / wanted


def ndcg(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Returns the normalised discounted gain of `found` [m, k]; the ideal list starts with min(k, `wanted`) hits."""
    gain = 1 / np.log2(np.arange(2, found.shape[1] + 2))
    ideal = np.concatenate([[0.0], gain.cumsum()])[np.minimum(wanted, found.shape[1])]
    return (found * gain).sum(1) / ideal


def measure(scores: np.ndarray, wanted: sp.csr_matrix, seen: sp.csr_matrix, k: int = 10) -> dict[str, float]:
    """Returns mean recall@k and NDCG@k over the listeners who have something `wanted`."""
    counts = np.diff(wanted.indptr)
    keep = counts > 0
    found = hits(best(scores[keep], seen[keep], k), wanted[keep])
    return {f"recall@{k}": float(recall(found, counts[keep]).mean()),
            f"ndcg@{k}": float(ndcg(found, counts[keep]).mean())}
