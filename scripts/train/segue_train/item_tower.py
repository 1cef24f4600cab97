"""The item tower: track id, artist, genre and dense columns to one unit vector."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .rows import Items


class ItemTower(nn.Module):
    """Sums what is known of a track in the vector space, then normalises.

    The id vector is dropped at random while training, so the rest must place a track by itself.
    """

    def __init__(self, tracks: int, artists: int, genres: int, dense: int, dim: int, hidden: int) -> None:
        super().__init__()
        self.track = nn.Embedding(tracks + 1, dim)
        self.artist = nn.Embedding(artists + 1, dim)
        self.genre = nn.Embedding(genres + 1, dim)
        for table in (self.track, self.artist, self.genre):
            nn.init.normal_(table.weight, std=dim**-0.5)
        self.dense = nn.Sequential(nn.Linear(dense, hidden), nn.GELU(), nn.Linear(hidden, dim))

    def forward(self, item: Tensor, track: Tensor, artist: Tensor, genre: Tensor) -> Tensor:
        """Maps `item` [N, I] and the ids [N] (0 = unknown) to `item_vector` [N, D], unit length."""
        known = self.track(track) + self.artist(artist) + self.genre(genre)
        return F.normalize(known + self.dense(item), dim=-1)

    def vectors(self, items: Items, rows: Tensor, id_dropout: float = 0.0) -> Tensor:
        """Returns the vectors [m, D] of catalogue `rows` [m]; each id is hidden with chance `id_dropout`."""
        track = items.track[rows]
        if id_dropout > 0:
            track = track * (torch.rand(len(rows)) >= id_dropout)
        return self(items.dense[rows], track, items.artist[rows], items.genre[rows])

    @torch.no_grad()
    def forget_unplayed(self, items: Items) -> None:
        """Gives tracks without an id in `items` the vector of the unknown id, so that the exported graph needs no rule."""
        self.track.weight[1:][items.track == 0] = self.track.weight[0]

    @torch.no_grad()
    def catalogue(self, items: Items, block: int = 65536) -> Tensor:
        """Returns the vectors of the whole catalogue, [n, D]."""
        return torch.cat([self.vectors(items, rows) for rows in torch.arange(len(items)).split(block)])
