"""Implicit alternating least squares with frequency-scaled regularisation (Rendle et al., RecSys 2022)."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

BLOCK = 1 << 24  # numbers held at once by one batch of small systems


@dataclass(frozen=True)
class Settings:
    """`unobserved` is the weight of a pair that is not in the matrix; one that is there weighs its value."""

    dim: int = 64
    regularisation: float = 0.003
    unobserved: float = 0.3
    epochs: int = 8


def fit(matrix: sp.csr_matrix, settings: Settings, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the factors of rows [m, D] and columns [n, D] whose products approach 1 where `matrix` > 0, else 0."""
    rng = np.random.default_rng(seed)
    columns = rng.normal(0, 0.1 / np.sqrt(settings.dim), (matrix.shape[1], settings.dim)).astype(np.float32)
    turned = matrix.T.tocsr()
    for _ in range(settings.epochs):
        rows = solve(matrix, columns, settings)
        columns = solve(turned, rows, settings)
    return rows, columns


def solve(matrix: sp.csr_matrix, other: np.ndarray, settings: Settings) -> np.ndarray:
    """Returns the exact minimum over the row factors while `other` [n, D] stays; a row without entries is 0.

    A row with k entries is an update of rank k to a matrix that all rows with k entries share, so it costs O(k^2 D)
    (Woodbury) where k < D, and O(D^3) elsewhere.
    """
    found = np.zeros((matrix.shape[0], settings.dim), dtype=np.float32)
    shared = settings.unobserved * (other.T @ other)
    counts = np.diff(matrix.indptr)
    for k in np.unique(counts[counts > 0]):
        ridge = settings.regularisation * (k + settings.unobserved * matrix.shape[1])
        base = shared + ridge * np.eye(settings.dim, dtype=np.float32)
        rows = np.flatnonzero(counts == k)
        for part in np.array_split(rows, 1 + len(rows) * int(k) * (int(k) + settings.dim) // BLOCK):
            at = matrix.indptr[part][:, None] + np.arange(k)
            vectors, weights = other[matrix.indices[at]], matrix.data[at]
            found[part] = _update(base, vectors, weights) if k < settings.dim else _direct(base, vectors, weights)
    return found


def _update(base: np.ndarray, vectors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Solves (base + V^T W V) x = V^T w for `vectors` V [B, k, D] and `weights` [B, k] through k x k systems."""
    turned = vectors @ np.linalg.inv(base)
    small = turned @ vectors.swapaxes(1, 2)
    small[:, np.arange(small.shape[1]), np.arange(small.shape[1])] += 1 / weights
    solution = np.linalg.solve(small, np.ones((*weights.shape, 1), dtype=np.float32))
    return (turned * solution).sum(1)


def _direct(base: np.ndarray, vectors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The same answer through D x D systems."""
    weighted = vectors * weights[..., None]
    return np.linalg.solve(base + weighted.swapaxes(1, 2) @ vectors, weighted.sum(1)[..., None])[..., 0]
