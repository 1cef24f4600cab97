"""The towers job: both towers, trained together to predict the next positive play."""

import argparse
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import card, export, intervals, metrics, report, sampled_softmax
from .config import Config, TowersConfig
from .fit import Limits, fit
from .item_tower import ItemTower, table_rows
from .rows import Items, Schema, TowerRows, read_items, read_schema, read_tower_rows
from .sampled_softmax import CandidateSampler
from .user_tower import UserTower

SCORES = 1 << 23  # scores held at once while evaluating


class Towers(nn.Module):
    """Both towers and the learned temperature (`log_scale` = -ln temperature)."""

    def __init__(self, config: TowersConfig, schema: Schema, items: Items) -> None:
        super().__init__()
        tracks = table_rows(items.plays, config.min_plays)
        artists = table_rows(torch.bincount(items.artist, items.plays, schema.artists + 1)[1:], 1)
        self.item = ItemTower(tracks, artists, schema.genres, len(schema.item), config.dim, config.item_hidden)
        self.user = UserTower(schema.history_len, len(schema.signals), len(schema.user), config.dim, config.hidden,
                              config.heads, config.recent, config.dropout, config.history_dropout)
        self.log_scale = nn.Parameter(-torch.tensor(config.temperature).log())

    def user_vectors(self, vectors: Tensor, history: Tensor, signals: Tensor, user: Tensor) -> Tensor:
        """Returns [B, D] for `history` [B, H], rows of `vectors` [m, D] and -1 where empty."""
        heard = F.embedding(history.clamp(min=0), vectors) * (history >= 0).unsqueeze(-1)
        return self.user(heard, signals, user)


class TowersJob:
    """`fit.Job` over `towers.parquet`."""

    name = "towers"
    goal = "recall@100"

    def __init__(self, config: TowersConfig, schema: Schema, items: Items, rows: TowerRows) -> None:
        self.config, self.items, self.rows = config, items, rows
        self.model = Towers(config, schema, items)
        self.optimizer = _optimizer(self.model, config)
        self.sampler = CandidateSampler(items.plays, config.candidates)
        self.steps = -(-len(rows.train) // config.batch)
        self.signal = schema.signals.index("signal") if "signal" in schema.signals else None
        valid = rows.valid
        every = -(-len(valid) // config.valid_rows)
        self.valid = valid[::every]

    def batches(self) -> Iterator[Tensor]:
        """Yields row numbers."""
        order = torch.randperm(len(self.rows.train))
        yield from self.rows.train[order].split(self.config.batch)

    def loss(self, batch: Tensor) -> Tensor:
        """Runs the item tower once over the distinct tracks of the batch, then the user tower, then the softmax."""
        rows, target = self.rows, self.rows.target[batch]
        candidates = self.sampler.draw(target)
        local = _Local(candidates, rows.history[batch])
        vectors = self.model.item.vectors(self.items, local.rows, self.config.id_dropout, self.config.artist_dropout)
        users = self.model.user_vectors(vectors, local.history, rows.signals[batch], rows.user[batch])
        users = self.model.log_scale.exp() * users
        log_q = self.sampler.log_inclusion(candidates, len(batch))
        logits = torch.addmm(-log_q, users, F.embedding(local.candidates, vectors).T)
        hard = self._hard(batch, target, users, local.history, vectors)
        return sampled_softmax.loss(logits, torch.searchsorted(candidates, target), hard)

    def _hard(self, batch: Tensor, target: Tensor, users: Tensor, history: Tensor, vectors: Tensor) -> Tensor | None:
        """Returns the logits [B, h] of skipped history entries that are not the target; `None` where no row has any."""
        if self.signal is None or self.config.skip_weight <= 0:
            return None
        skipped = self.rows.signals[batch][..., self.signal] < self.config.skip_threshold
        skipped &= (history >= 0) & (self.rows.history[batch] != target.unsqueeze(1))
        if not skipped.any():
            return None
        row, column = skipped.nonzero(as_tuple=True)
        scores = (users[row] * F.embedding(history[row, column], vectors)).sum(-1)
        weight = torch.tensor(self.config.skip_weight).log()
        return users.new_full(skipped.shape, sampled_softmax.NEVER).index_put((row, column), scores + weight)

    def evaluate(self) -> dict[str, float]:
        """Scores every track for the valid rows; nothing is masked, since repeats are legitimate."""
        figures = {name: float(values.mean()) for name, values in self._each().items()}
        return figures | {"temperature": float(torch.exp(-self.model.log_scale))}

    @torch.no_grad()
    def intervals(self, seed: int) -> dict[str, float]:
        """Returns the ends of the intervals of the valid metrics, drawing rows."""
        ends = {name: intervals.mean(values.numpy(), seed) for name, values in self._each().items()}
        return {f"{name}_{end}": value for name, pair in ends.items() for end, value in zip(("low", "high"), pair)}

    def _each(self) -> dict[str, Tensor]:
        """The metrics of every valid row."""
        vectors = self.model.item.catalogue(self.items)
        block = max(1, SCORES // len(self.items))
        found = torch.cat([self._ranks(part, vectors) for part in self.valid.split(block)]).float()
        return {"recall@100": (found <= 100).float(), "recall@20": (found <= 20).float(),
                "mrr@20": torch.where(found <= 20, 1 / found, 0.0)}

    def _ranks(self, part: Tensor, vectors: Tensor) -> Tensor:
        rows = self.rows
        users = self.model.user_vectors(vectors, rows.history[part], rows.signals[part], rows.user[part])
        return metrics.ranks(users @ vectors.T, rows.target[part])


class _Local:
    """The distinct tracks of a batch (`rows`) and positions in it: `candidates` [C], `history` [B, H] (-1 = empty)."""

    def __init__(self, candidates: Tensor, history: Tensor) -> None:
        history = history.long()
        self.rows = torch.cat([candidates, history[history >= 0]]).unique()
        self.candidates = torch.searchsorted(self.rows, candidates)
        self.history = torch.where(history >= 0, torch.searchsorted(self.rows, history), -1)


def _optimizer(model: Towers, config: TowersConfig) -> torch.optim.Optimizer:
    """AdamW with its own rate for the tables; only matrices decay."""
    tables = [model.item.track.weight, model.item.artist.weight, model.item.genre.weight]
    known = {id(p) for p in tables}
    rest = [p for p in model.parameters() if id(p) not in known]
    return torch.optim.AdamW([
        {"params": tables, "lr": config.embedding_learning_rate, "weight_decay": 0.0},
        {"params": [p for p in rest if p.ndim > 1], "lr": config.learning_rate, "weight_decay": config.weight_decay},
        {"params": [p for p in rest if p.ndim <= 1], "lr": config.learning_rate, "weight_decay": 0.0},
    ], fused=True)


def run(args: argparse.Namespace, config: Config) -> None:
    """Trains, exports `user_tower.onnx` and `item_tower.onnx` and writes curves, parity rows and metadata."""
    torch.manual_seed(args.seed)
    schema = read_schema(args.rows)
    items, rows = read_items(args.rows, schema), read_tower_rows(args.rows, schema)
    job = TowersJob(config.towers, schema, items, rows)
    print(f"towers: {len(items)} tracks, {len(rows.train)} train rows, {len(rows.valid)} valid rows", flush=True)
    checkpoint = args.out / "towers.checkpoint"
    limits = Limits(config.towers.epochs, config.towers.patience, config.towers.warmup, args.seed)
    progress = fit(job, limits, checkpoint, _fingerprint(args, config, items, rows))
    export.towers(job.model, items, rows, args.out)
    report.write("towers", args.out, progress, job.goal, {
        "seed": args.seed, "tracks": len(items), "train_rows": len(rows.train), "valid_rows": len(rows.valid),
        "first_ms": rows.first_ms, "last_ms": rows.last_ms,
    } | job.intervals(args.seed))
    card.write(args.out, schema)
    checkpoint.unlink()


def _fingerprint(args: argparse.Namespace, config: Config, items: Items, rows: TowerRows) -> dict[str, Any]:
    return {"config": config.as_dict()["towers"], "seed": args.seed, "tracks": len(items), "rows": len(rows.target),
            "last_ms": rows.last_ms}
