"""How alike two listeners are, by what is known of them: [m, m] matrices whose diagonal is 1 on average."""

import numpy as np
import scipy.sparse as sp

LEAST_ARTISTS = 5  # a tag on fewer is noise


def by_artists(train: sp.csr_matrix, damping: float = 0.25) -> np.ndarray:
    """Counts shared artists, each by its listeners to the power -`damping`."""
    weight = np.asarray(train.sum(0)).ravel().clip(min=1) ** -damping
    return _unit((train.multiply(weight).tocsr() @ train.T).toarray())


def by_tags(train: sp.csr_matrix, tags: sp.csr_matrix) -> np.ndarray:
    """Compares the sums of the tag vectors of the listeners' artists."""
    profile = (train @ tag_vectors(tags)).toarray()
    return _unit(profile @ profile.T)


def by_friends(friends: sp.csr_matrix) -> np.ndarray:
    """Friendship over the root of both numbers of friends; the diagonal is 0."""
    scale = 1 / np.sqrt(np.asarray(friends.sum(1)).ravel().clip(min=1))
    return friends.multiply(scale).multiply(scale[:, None]).toarray().astype(np.float32)


def tag_vectors(tags: sp.csr_matrix) -> sp.csr_matrix:
    """Returns the artists' tags [n, tags] as unit vectors: log counts by the rarity of the tag; 0 without tags."""
    artists = np.diff(tags.indptr)
    kept = tags[artists >= LEAST_ARTISTS].T.tocsr().astype(np.float32)
    kept.data = np.log1p(kept.data)
    kept = kept.multiply(np.log(kept.shape[0] / np.asarray((kept > 0).sum(0)).ravel())).tocsr()
    length = np.sqrt(np.asarray(kept.multiply(kept).sum(1)).ravel())
    return kept.multiply(1 / np.where(length > 0, length, 1)[:, None]).tocsr()


def _unit(kernel: np.ndarray) -> np.ndarray:
    return (kernel / np.diag(kernel).mean()).astype(np.float32)
