"""Closed-form models of a binary matrix `train` [listeners m, artists n]; scores are [m, n], float32."""

import numpy as np
import scipy.sparse as sp


def popularity(train: sp.csr_matrix) -> np.ndarray:
    """Scores an artist by its listeners."""
    return np.tile(np.asarray(train.sum(0), dtype=np.float32), (train.shape[0], 1))


def item_knn(train: sp.csr_matrix, neighbours: int = 200) -> np.ndarray:
    """Adds up the cosines of the listener's artists with each artist, over the `neighbours` nearest of each."""
    length = np.sqrt(np.asarray(train.sum(0)).ravel()).clip(min=1)
    scaled = train.multiply(1 / length).tocsc()
    nearest = []
    for first in range(0, train.shape[1], 1024):
        block = (scaled[:, first:first + 1024].T @ scaled).toarray()
        block[np.arange(len(block)), first + np.arange(len(block))] = 0
        if neighbours < block.shape[1]:
            block[block < np.partition(block, -neighbours, axis=1)[:, [-neighbours]]] = 0
        nearest.append(sp.csr_matrix(block))
    return (train @ sp.vstack(nearest).T.tocsr()).toarray()


def ease(train: sp.csr_matrix, ridge: float) -> np.ndarray:
    """EASE (Steck, WWW 2019) for more artists than listeners: O(m^3) instead of O(n^3).

    With K = (XX' + ridge I)^-1, X P = K X and ridge diag(P) = 1 - diag(X'KX), so that the n x n matrix is never made.
    """
    gram = (train @ train.T).toarray().astype(np.float64)
    shrunk = sides(np.linalg.inv(gram + ridge * np.eye(len(gram))), train)
    diagonal = (1 - np.asarray(train.multiply(shrunk).sum(0)).ravel()) / ridge
    return (train.toarray() - shrunk / diagonal).astype(np.float32)


def kernel_ridge(kernel: np.ndarray, train: sp.csr_matrix, ridge: float) -> np.ndarray:
    """Predicts every artist's column from the likeness of listeners: kernel (kernel + ridge I)^-1 X. O(m^3)."""
    identity = np.eye(len(kernel), dtype=kernel.dtype)
    return sides(identity - ridge * np.linalg.inv(kernel + ridge * identity), train).astype(np.float32)


def sides(left: np.ndarray, right: sp.csr_matrix) -> np.ndarray:
    """Returns `left @ right` for a dense and a sparse matrix."""
    return np.ascontiguousarray((right.T.tocsr() @ np.ascontiguousarray(left.T)).T)
