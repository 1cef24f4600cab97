"""The item tower: track id, artist, genre and dense columns to one unit vector."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .rows import Items


class ItemTower(nn.Module):
    """Sums what is known of a track in the vector space, then normalises.

    Ids are dropped at random while training, so the rest must place a track by itself. The tables hold the tracks and
    artists that were played and one row for all others: a catalogue of 100M tracks whose listeners play a hundredth of
    them trains and ships a hundredth of the vectors.
    """

    def __init__(self, tracks: Tensor, artists: Tensor, genres: int, dense: int, dim: int, hidden: int) -> None:
        """`tracks` [n+1] and `artists` [a+1] give each id its row of the table (`table_rows`)."""
        super().__init__()
        # Not persistent: they follow from the rows, and a checkpoint holds each tensor up to three times.
        self.register_buffer("track_row", tracks, persistent=False)
        self.register_buffer("artist_row", artists, persistent=False)
        self.track = nn.Embedding(int(tracks.max()) + 1, dim)
        self.artist = nn.Embedding(int(artists.max()) + 1, dim)
        self.genre = nn.Embedding(genres + 1, dim)
        for table in (self.track, self.artist, self.genre):
            nn.init.normal_(table.weight, std=dim**-0.5)
        self.dense = nn.Sequential(nn.Linear(dense, hidden), nn.GELU(), nn.Linear(hidden, dim))

    def forward(self, item: Tensor, track: Tensor, artist: Tensor, genre: Tensor) -> Tensor:
        """Maps `item` [N, I] and the ids [N] (0 = unknown) to `item_vector` [N, D], unit length."""
        known = self.track(self.track_row[track]) + self.artist(self.artist_row[artist]) + self.genre(genre)
        return F.normalize(known + self.dense(item), dim=-1)

    def vectors(self, items: Items, rows: Tensor, track_dropout: float = 0.0, artist_dropout: float = 0.0) -> Tensor:
        """Returns the vectors [m, D] of catalogue `rows` [m]; each id is hidden with the chance given."""
        return self(items.dense[rows], _hidden(rows + 1, track_dropout), _hidden(items.artist[rows], artist_dropout),
                    items.genre[rows])

    @torch.no_grad()
    def catalogue(self, items: Items, block: int = 65536) -> Tensor:
        """Returns the vectors of the whole catalogue, [n, D]."""
        return torch.cat([self.vectors(items, rows) for rows in torch.arange(len(items)).split(block)])


def table_rows(plays: Tensor, least: float) -> Tensor:
    """Returns the row of each id's vector, [n+1] int64; 0, the unknown id's, below `least` `plays` [n]."""
    played = plays >= least
    return F.pad(played.long().cumsum(0) * played, (1, 0))


def _hidden(ids: Tensor, chance: float) -> Tensor:
    return ids * (torch.rand(len(ids)) >= chance) if chance > 0 else ids
