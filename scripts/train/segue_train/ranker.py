"""The ranker job: trains the MMoE on logged candidates, anew or on from another one, calibrates it, exports it."""

import argparse
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import calibrate, card, export, intervals, metrics, report, warm
from .config import Config, RankerConfig
from .fit import Limits, fit
from .mmoe import Ranker, Standardise
from .rows import RankerRows, Schema, read_ranker_rows, read_schema

CUT = 20


class RankerJob:
    """`fit.Job` over `ranker.parquet`; a batch is a set of groups, so that the listwise term sees whole lists."""

    name = "ranker"
    goal = "ndcg@20"

    def __init__(self, config: RankerConfig, schema: Schema, rows: RankerRows, network: type[nn.Module] = Ranker) -> None:
        if len(config.task_weights) != len(schema.tasks):
            raise ValueError(f"[ranker] task_weights must hold {len(schema.tasks)} values: {schema.tasks}")
        if config.balance not in ("fixed", "uncertainty"):
            raise ValueError(f"[ranker] balance must be `fixed` or `uncertainty`, not `{config.balance}`")
        self.config, self.rows, self.tasks = config, rows, schema.tasks
        self.train, self.valid = groups(rows.group, ~rows.valid), groups(rows.group, rows.valid)
        seen = torch.from_numpy(np.flatnonzero(~rows.valid))
        blocks = [Standardise(x[seen].mean(0), x[seen].std(0, correction=0)) for x in (rows.user, rows.item, rows.cross)]
        self.model = network(config, *blocks, len(schema.tasks))
        label, mask = rows.label[seen], rows.mask[seen]
        self.model.start_at(((label * mask).sum(0) + 0.5) / (mask.sum(0) + 1))
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)
        self.weights = torch.tensor(config.task_weights)
        self.steps = -(-len(self.train) // config.batch)

    def batches(self) -> Iterator[Tensor]:
        """Yields padded row numbers [g, L], -1 = padding."""
        yield from self.train[torch.randperm(len(self.train))].split(self.config.batch)

    def loss(self, batch: Tensor) -> Tensor:
        """Masked binary cross-entropy a task, plus a softmax over each group that holds a completed play."""
        rows = batch[batch >= 0]
        logits = self.logits(rows)
        label, mask = self.rows.label[rows], self.rows.mask[rows]
        each = F.binary_cross_entropy_with_logits(logits, label, reduction="none") * mask
        loss = self._balanced(each.sum(0) / mask.sum(0).clamp(min=1))
        if self.config.listwise > 0:
            loss = loss + self.config.listwise * self._listwise(batch, logits[:, 0], label[:, 0] * mask[:, 0])
        return loss

    def _balanced(self, each: Tensor) -> Tensor:
        """Adds up the losses [tasks] by fixed weights, or by e^-s with s / 2 as the price of distrust."""
        if self.config.balance == "fixed":
            return (each * self.weights).sum()
        noise = self.model.log_variance
        return (each * torch.exp(-noise) + noise / 2).sum()

    def _listwise(self, batch: Tensor, logits: Tensor, label: Tensor) -> Tensor:
        lists = logits.new_full(batch.shape, -1e4).masked_scatter(batch >= 0, logits)
        wanted = torch.zeros(batch.shape).masked_scatter(batch >= 0, label)
        total = wanted.sum(1)
        each = -(torch.log_softmax(lists, 1) * wanted).sum(1) / total.clamp(min=1)
        return each.sum() / (total > 0).sum().clamp(min=1)

    def logits(self, rows: Tensor) -> Tensor:
        """Returns uncalibrated logits [r, tasks]."""
        return self.model.logits(self.rows.user[rows], self.rows.item[rows], self.rows.cross[rows])

    def evaluate(self) -> dict[str, float]:
        """Returns NDCG within groups and, where both classes exist, AUC and the mean log loss a head."""
        rows = self.valid[self.valid >= 0]
        logits = torch.cat([self.logits(part) for part in rows.split(65536)])
        found = {f"ndcg@{CUT}": self._ndcg(logits[:, 0], rows)}
        for k, task in enumerate(self.tasks):
            known = self.rows.mask[rows, k] > 0
            score, label = logits[known, k], self.rows.label[rows, k][known]
            area = metrics.auc(score.numpy(), label.numpy())
            found[f"{task}_auc"] = float("nan") if area is None else area
            found[f"{task}_logloss"] = float(F.binary_cross_entropy_with_logits(score, label))
        return found

    @torch.no_grad()
    def expert_use(self) -> Tensor:
        """Returns the gates' mean weights over the valid rows, [tasks, experts]."""
        rows = self.valid[self.valid >= 0]
        uses = [len(part) * self.model.expert_use(self.rows.user[part], self.rows.item[part], self.rows.cross[part])
                for part in rows.split(65536)]
        return torch.stack(uses).sum(0) / len(rows)

    @torch.no_grad()
    def intervals(self, seed: int) -> dict[str, float]:
        """Returns the ends of the intervals of NDCG and AUC on valid, drawing groups."""
        rows = self.valid[self.valid >= 0]
        logits = torch.cat([self.logits(part) for part in rows.split(65536)])
        ends = {f"ndcg@{CUT}": intervals.mean(self._ndcgs(logits[:, 0], rows).numpy(), seed)}
        for k, task in enumerate(self.tasks):
            known = (self.rows.mask[rows, k] > 0).numpy()
            if known.any():
                label = self.rows.label[rows, k].numpy()[known]
                ends[f"{task}_auc"] = intervals.auc(logits[:, k].numpy()[known], label, self.rows.group[rows][known], seed)
        return {f"{name}_{end}": value for name, pair in ends.items() if pair
                for end, value in zip(("low", "high"), pair)}

    def _ndcg(self, logits: Tensor, rows: Tensor) -> float:
        each = self._ndcgs(logits, rows)
        return float(each.mean()) if len(each) else 0.0

    def _ndcgs(self, logits: Tensor, rows: Tensor) -> Tensor:
        """NDCG of every valid group that has a completed play."""
        there = self.valid >= 0
        scores = torch.full(self.valid.shape, -torch.inf).masked_scatter(there, logits)
        label = (self.rows.label[rows, 0] * self.rows.mask[rows, 0]) > 0
        return metrics.group_ndcgs(scores, torch.zeros(self.valid.shape, dtype=torch.bool).masked_scatter(there, label), CUT)

    @torch.no_grad()
    def calibrate(self) -> dict[str, float]:
        """Fits Platt constants on every other valid group, sets them, and returns the ECE on the groups between."""
        fitted, held = (part[part >= 0] for part in (self.valid[0::2], self.valid[1::2]))
        found = {}
        logits = {id(r): self.logits(r) for r in (fitted, held)}
        for k, task in enumerate(self.tasks):
            known = self.rows.mask[fitted, k] > 0
            with torch.enable_grad():
                slope, offset = calibrate.platt(logits[id(fitted)][known, k], self.rows.label[fitted, k][known])
            self.model.slope[k], self.model.offset[k] = slope, offset
            known = self.rows.mask[held, k] > 0
            if known.any():
                raw, label = logits[id(held)][known, k], self.rows.label[held, k][known].numpy()
                found[f"{task}_ece_raw"] = metrics.calibration_error(torch.sigmoid(raw).numpy(), label)
                found[f"{task}_ece"] = metrics.calibration_error(torch.sigmoid(raw * slope + offset).numpy(), label)
        return found


def groups(group: np.ndarray, keep: np.ndarray) -> Tensor:
    """Returns the kept rows by group, [groups, longest group], -1 = padding; groups in order of their id."""
    rows = np.flatnonzero(keep)
    rows = rows[np.argsort(group[rows], kind="stable")]
    _, first, counts = np.unique(group[rows], return_index=True, return_counts=True)
    padded = np.full((len(first), int(counts.max())), -1, dtype=np.int64)
    place = np.arange(len(rows)) - np.repeat(first, counts)
    padded[np.repeat(np.arange(len(first)), counts), place] = rows
    return torch.from_numpy(padded)


def run(args: argparse.Namespace, config: Config, network: type[nn.Module] = Ranker, name: str = "ranker") -> None:
    """Trains, calibrates, exports `<name>.onnx` and writes curves, parity rows and metadata."""
    torch.manual_seed(args.seed)
    schema = read_schema(args.rows)
    dim = schema.dim or config.towers.dim
    rows = read_ranker_rows(args.rows, schema, dim)
    job = RankerJob(config.ranker, schema, rows, network)
    job.name = name
    print(f"{name}: {len(job.train)} train groups, {len(job.valid)} valid groups, {len(rows.group)} rows", flush=True)
    before = _start(args, job)
    checkpoint = args.out / f"{name}.checkpoint"
    limits = Limits(config.ranker.epochs, config.ranker.patience, config.ranker.warmup, args.seed)
    fingerprint = {"config": config.as_dict()["ranker"], "seed": args.seed, "rows": len(rows.group), "last_ms": rows.last_ms,
                   "start": before.get("start", "")}
    progress = fit(job, limits, checkpoint, fingerprint)
    facts: dict[str, Any] = _facts(args, job) | before | job.calibrate() | _baseline(job, schema) | job.intervals(args.seed)
    export.ranker(job.model, name, rows, job.valid[0], args.out)
    if network is Ranker:
        report.gates(args.out / "gates-ranker.svg", job.tasks, job.expert_use().tolist())
    report.write(name, args.out, progress, job.goal, facts)
    card.write(args.out, schema)
    checkpoint.unlink()


def _start(args: argparse.Namespace, job: RankerJob) -> dict[str, Any]:
    """Takes the weights of the ranker in `args.start`, if there is one; returns its digest and its own valid metrics."""
    if getattr(args, "start", None) is None:
        return {}
    digest = warm.start(job.model, args.start, args.out)
    job.model.eval()
    with torch.no_grad():
        found = {f"start_{name}": value for name, value in job.evaluate().items() if math.isfinite(value)}
    print("start: " + " ".join(f"{name.removeprefix('start_')}={value:.4g}" for name, value in found.items()), flush=True)
    return {"start": digest} | found


def _facts(args: argparse.Namespace, job: RankerJob) -> dict[str, Any]:
    """Counts, and a line for each head that had nothing to learn from."""
    rows = job.rows
    positives = ((rows.label * rows.mask) > 0).sum(0).tolist()
    for task, count in zip(job.tasks, positives):
        if count == 0:
            print(f"{job.name}: no row is labelled `{task}`: the head learns a small constant and has no AUC", flush=True)
    counts = {f"{task}_positives": count for task, count in zip(job.tasks, positives)}
    return {"seed": args.seed, "train_groups": len(job.train), "valid_groups": len(job.valid), "rows": len(rows.group),
            "first_ms": rows.first_ms, "last_ms": rows.last_ms} | counts


def _baseline(job: RankerJob, schema: Schema) -> dict[str, float]:
    """NDCG of the order that retrieval alone gives (`user_similarity`), to compare with."""
    if "user_similarity" not in schema.cross:
        return {}
    rows = job.valid[job.valid >= 0]
    return {"retrieval_ndcg@20": job._ndcg(job.rows.cross[rows, schema.cross.index("user_similarity")], rows)}
