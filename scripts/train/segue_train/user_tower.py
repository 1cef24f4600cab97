"""The user tower: a history of item vectors with signals, and the dense user columns, to one unit vector."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class UserTower(nn.Module):
    """Attends over the history from the newest play, and reads the newest few plays one by one.

    Attention is one query a head over keys shared by all heads, so the cost is linear in H. The attended item vectors also reach the output
    unchanged but for a matrix that starts as the identity: on little data "near what was just played" is learned at once.
    """

    def __init__(self, history: int, signals: int, user: int, dim: int, hidden: int, heads: int, recent: int,
                 dropout: float, history_dropout: float) -> None:
        super().__init__()
        self.heads, self.recent = heads, min(recent, history)
        self.forget = nn.Dropout(history_dropout)
        self.entry = nn.Linear(dim + signals, dim)
        self.position = nn.Parameter(torch.zeros(history, dim))
        self.query = nn.Linear(dim + user, heads * dim)
        width = self.recent * (dim + signals) + 2 * heads * dim + user
        self.network = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, dim))
        self.residual = nn.Linear(heads * dim, dim, bias=False)
        with torch.no_grad():
            self.residual.weight.copy_(torch.eye(dim).repeat(1, heads) / heads)

    def forward(self, history_vectors: Tensor, history_signals: Tensor, user: Tensor) -> Tensor:
        """Maps [B, H, D] (zero rows where empty), [B, H, S] and [B, U] to `user_vector` [B, D], unit length."""
        empty = history_vectors.abs().sum(-1) == 0
        vectors = self.forget(history_vectors)
        plays = torch.cat([vectors, history_signals], -1)
        entries = F.gelu(self.entry(plays) + self.position)
        weights = self.attention(entries, empty, user)
        attended = torch.bmm(weights, vectors).flatten(1)
        pooled = torch.bmm(weights, entries).flatten(1)
        recent = plays[:, : self.recent].flatten(1)
        vector = self.network(torch.cat([recent, pooled, attended, user], -1)) + self.residual(attended)
        return F.normalize(vector, dim=-1)

    def attention(self, entries: Tensor, empty: Tensor, user: Tensor) -> Tensor:
        """Returns the weights [B, heads, H] of `entries` [B, H, D]; with no play at all they are uniform."""
        query = self.query(torch.cat([entries[:, 0], user], -1)).unflatten(-1, (self.heads, -1))
        scores = torch.bmm(query, entries.transpose(1, 2)) / entries.shape[-1] ** 0.5
        return torch.softmax(scores.masked_fill(empty.unsqueeze(1), -1e4), -1)
