"""The HetRec 2011 Last.fm set (Cantador et al.): who listened to which artist, who is whose friend, who tagged what."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp

ORIGIN = "https://grouplens.org/datasets/hetrec-2011/ (hetrec2011-lastfm-2k.zip)"


@dataclass(frozen=True)
class HetRec:
    """Rows of all matrices are listeners, columns of `listens` artists; play counts are not used.

    `tagged` [t, 3] holds listener, artist and tag of every assignment, as row and column numbers.
    """

    listens: sp.csr_matrix
    friends: sp.csr_matrix
    tagged: np.ndarray


@dataclass(frozen=True)
class Split:
    """Disjoint parts of `listens`, and the tags [tags, artists] with how often each was given."""

    train: sp.csr_matrix
    valid: sp.csr_matrix
    test: sp.csr_matrix
    tags: sp.csr_matrix


def read(folder: Path) -> HetRec:
    """Reads the set. Raises `FileNotFoundError` that says where it comes from."""
    plays, friends, tagged = (_table(folder / f"{name}.dat", 3 if name == "user_taggedartists" else 2)
                              for name in ("user_artists", "user_friends", "user_taggedartists"))
    users, user = np.unique(plays[:, 0], return_inverse=True)
    artists, artist = np.unique(plays[:, 1], return_inverse=True)
    listens = binary(user, artist, (len(users), len(artists)))
    one, other = _places(users, friends[:, 0]), _places(users, friends[:, 1])
    both = (one >= 0) & (other >= 0)
    graph = binary(np.r_[one[both], other[both]], np.r_[other[both], one[both]], (len(users), len(users)))
    who, what = _places(users, tagged[:, 0]), _places(artists, tagged[:, 1])
    tag = np.unique(tagged[:, 2], return_inverse=True)[1]
    known = (who >= 0) & (what >= 0)
    return HetRec(listens, graph, np.stack([who, what, tag], 1)[known])


def split(data: HetRec, seed: int) -> Split:
    """Splits each listener's artists at random 8:1:1; one who has few keeps at least one for train.

    A tag that a listener gave to an artist held out for that same listener is left out: it would tell the answer.
    """
    user, artist = data.listens.nonzero()
    order = np.random.default_rng(seed).permutation(len(user))
    order = order[np.argsort(user[order], kind="stable")]
    part = np.concatenate([_parts(count) for count in np.diff(data.listens.indptr)])
    places = (order[part == k] for k in range(3))
    train, valid, test = (binary(user[at], artist[at], data.listens.shape) for at in places)
    who, what, tag = data.tagged.T
    free = np.asarray((valid + test)[who, what]).ravel() == 0
    counted = (np.ones(free.sum(), np.float32), (tag[free], what[free]))
    return Split(train, valid, test, sp.csr_matrix(counted, shape=(tag.max() + 1, data.listens.shape[1])))


def binary(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> sp.csr_matrix:
    """Returns a matrix of ones at the distinct places given."""
    matrix = sp.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)
    matrix.data[:] = 1
    return matrix


def _parts(count: int) -> np.ndarray:
    """Returns the part (0, 1, 2) of each of a listener's artists, as RecBole's ratio split counts them."""
    sizes = [count - 2 * (count // 10), count // 10, count // 10]
    for k in (2, 1):
        if sizes[0] > 1 and 0 < 0.1 * count < 1:
            sizes[k] += 1
            sizes[0] -= 1
    return np.repeat(np.arange(3), sizes)


def _table(path: Path, columns: int) -> np.ndarray:
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there; the set comes from {ORIGIN}")
    return np.loadtxt(path, dtype=np.int64, skiprows=1, delimiter="\t", usecols=range(columns))


def _places(known: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Returns where each of `wanted` stands in the sorted `known`, -1 where it does not."""
    at = np.searchsorted(known, wanted).clip(max=len(known) - 1)
    return np.where(known[at] == wanted, at, -1)
