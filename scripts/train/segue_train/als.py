"""The ALS baseline as towers: item factors in the index, listeners folded in by the user tower's graph.

Factors are those of implicit feedback (Hu, Koren, Volinsky, ICDM 2008) by the `implicit` library. The server searches
by angle, so a factor y becomes the unit vector (y / m, sqrt(1 - |y / m|^2)) with m the longest factor, and a listener's x
becomes (x / |x|, 0): the order of the angles is then that of x . y.
"""

import argparse
from itertools import product

import implicit
import numpy as np
import pyarrow.parquet as pq
import scipy.sparse as sparse
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import card, export, report
from .config import Config
from .metrics import ranks
from .rows import Items, Schema, TowerRows, read_items, read_schema, read_tower_rows

ITERATIONS = 15
STEPS = 24  # of conjugate gradients
ALPHAS = (1.0, 4.0, 16.0)
REGULARISATIONS = (0.1, 10.0)


class ItemTable(nn.Module):
    """The item tower: a row of a table. What has no factor gets the last axis, which no listener's vector has."""

    def __init__(self, factors: Tensor) -> None:
        super().__init__()
        longest = factors.norm(dim=1).max().clamp(min=1e-12)
        scaled = torch.cat([factors.new_zeros(1, factors.shape[1]), factors / longest])
        last = (1 - scaled.square().sum(1, keepdim=True)).clamp(min=0).sqrt()
        self.register_buffer("table", F.normalize(torch.cat([scaled, last], 1), dim=1))
        self.longest = float(longest)

    def forward(self, item: Tensor, track: Tensor, artist: Tensor, genre: Tensor) -> Tensor:
        """Maps `track` [N] (0 = unknown) to `item_vector` [N, D]; the other inputs are there because the server sends them."""
        return F.embedding(track, self.table)

    def catalogue(self, items: Items) -> Tensor:
        """Returns the vectors of the whole catalogue, [n, D]."""
        return self.table[1:]


class FoldIn(nn.Module):
    """The user tower: solves (Y'Y + lambda I + sum c y y') x = sum (1 + c) y over the history, c = alpha times the signal.

    Only entries with a positive signal count, each as a play of its own. Solved by conjugate gradients.
    """

    def __init__(self, factors: Tensor, longest: float, alpha: float, regularisation: float, signal: int) -> None:
        super().__init__()
        self.register_buffer("gram", factors.T @ factors + regularisation * torch.eye(factors.shape[1]))
        self.register_buffer("usual", F.normalize(factors.mean(0), dim=0))
        self.longest, self.alpha, self.signal = longest, alpha, signal

    def solve(self, y: Tensor, confidence: Tensor) -> Tensor:
        """Returns x [B, F] for `y` [B, H, F] and `confidence` [B, H], 0 = not played."""
        played = (confidence > 0).to(y.dtype)
        residual = torch.einsum("bh,bhf->bf", played + confidence, y)
        x, direction = torch.zeros_like(residual), residual
        size = residual.square().sum(1, keepdim=True)
        for _ in range(STEPS):
            along = torch.einsum("bhf,bf->bh", y, direction) * confidence
            image = direction @ self.gram + torch.einsum("bh,bhf->bf", along, y)
            step = size / (direction * image).sum(1, keepdim=True).clamp(min=1e-20)
            x, residual = x + step * direction, residual - step * image
            left = residual.square().sum(1, keepdim=True)
            direction, size = residual + left / size.clamp(min=1e-20) * direction, left
        return x

    def forward(self, history_vectors: Tensor, history_signals: Tensor, user: Tensor) -> Tensor:
        """Maps the history to `user_vector` [B, D], unit length; without any positive play it is the mean factor's direction."""
        y = history_vectors[..., :-1] * self.longest
        x = self.solve(y, self.alpha * history_signals[..., self.signal].clamp(min=0))
        length = x.norm(dim=1, keepdim=True)
        x = torch.where(length > 1e-9, x / length.clamp(min=1e-9), self.usual)
        return torch.cat([x, torch.zeros_like(x[:, :1])], 1)


class Als(nn.Module):
    """Both towers, as `export.towers` wants them."""

    def __init__(self, factors: np.ndarray, alpha: float, regularisation: float, schema: Schema) -> None:
        super().__init__()
        values = torch.from_numpy(np.ascontiguousarray(factors, np.float32))
        self.item = ItemTable(values)
        self.user = FoldIn(values, self.item.longest, alpha, regularisation, schema.signals.index("signal"))


def factorise(plays: sparse.csr_matrix, dim: int, alpha: float, regularisation: float, seed: int) -> np.ndarray:
    """Returns item factors [tracks, dim] of `plays` [listeners, tracks] with confidence 1 + alpha plays."""
    model = implicit.als.AlternatingLeastSquares(
        factors=dim, alpha=1.0, regularization=regularisation, iterations=ITERATIONS, random_state=seed, use_gpu=False,
        num_threads=torch.get_num_threads())
    confidence = plays.copy()
    confidence.data = 1 + alpha * confidence.data
    model.fit(confidence, show_progress=False)
    return model.item_factors


def count(args: argparse.Namespace, rows: TowerRows, chosen: Tensor, tracks: int) -> sparse.csr_matrix:
    """Returns how often each listener played each track in the `chosen` tower rows, [listeners, tracks]."""
    names = pq.read_table(args.rows / "towers.parquet", columns=["user_id"])["user_id"].to_numpy()
    known, user = np.unique(names, return_inverse=True)
    at = chosen.numpy()
    counts = sparse.coo_matrix((np.ones(len(at), np.float32), (user[at], rows.target.numpy()[at])), (len(known), tracks))
    return counts.tocsr()


@torch.no_grad()
def recall(model: Als, items: Items, rows: TowerRows, chosen: Tensor) -> float:
    """Returns the part of `chosen` rows whose target is among the 100 nearest of all tracks."""
    vectors = model.item.catalogue(items)
    padded = torch.cat([vectors.new_zeros(1, vectors.shape[1]), vectors])
    hits = 0
    for part in chosen.split(512):
        users = model.user(F.embedding(rows.history[part].long() + 1, padded), rows.signals[part], rows.user[part])
        hits += int((ranks(users @ vectors.T, rows.target[part]) <= 100).sum())
    return hits / len(chosen)


def run(args: argparse.Namespace, config: Config) -> None:
    """Chooses alpha and regularisation on valid, factorises all plays, writes both towers and the card."""
    schema = read_schema(args.rows)
    items, rows = read_items(args.rows, schema), read_tower_rows(args.rows, schema)
    chosen = rows.valid[::-(-len(rows.valid) // 4000)]
    train = count(args, rows, rows.train, len(items))
    figures = {}
    for alpha, regularisation in product(ALPHAS, REGULARISATIONS):
        factors = factorise(train, config.towers.dim - 1, alpha, regularisation, args.seed)
        figures[alpha, regularisation] = recall(Als(factors, alpha, regularisation, schema), items, rows, chosen)
        print(f"als alpha={alpha} lambda={regularisation} recall@100={figures[alpha, regularisation]:.4f}", flush=True)
    alpha, regularisation = max(figures, key=figures.get)
    everything = torch.cat([rows.train, rows.valid])
    factors = factorise(count(args, rows, everything, len(items)), config.towers.dim - 1, alpha, regularisation, args.seed)
    export.towers(Als(factors, alpha, regularisation, schema).eval(), items, rows, args.out)
    report.keep("towers", args.out, {
        "design": "ALS", "seed": args.seed, "alpha": alpha, "regularisation": regularisation, "tracks": len(items),
        "train_rows": len(everything), "first_ms": rows.first_ms, "last_ms": rows.last_ms,
        "recall_at_100": figures[alpha, regularisation]})
    card.write(args.out, schema)
