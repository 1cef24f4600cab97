"""The training loop of both jobs: schedule, progress, selection on valid, early stop, checkpoint and resume."""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm


class Job(Protocol):
    """What the loop needs from a job. `goal` names the entry of `evaluate()` that is to grow."""

    name: str
    goal: str
    steps: int
    model: nn.Module
    optimizer: torch.optim.Optimizer

    def batches(self) -> Iterable[Tensor]:
        """Yields the `steps` batches of one epoch, shuffled by torch's global generator."""

    def loss(self, batch: Tensor) -> Tensor:
        """Returns the scalar loss of a batch."""

    def evaluate(self) -> dict[str, float]:
        """Returns the valid metrics; the model is in evaluation mode and no gradient is kept."""


@dataclass(frozen=True)
class Limits:
    """How long to train: `warmup` is a part of all steps, `patience` counts epochs without a better goal."""

    epochs: int
    patience: int
    warmup: float
    seed: int


@dataclass
class Progress:
    """Everything that outlives an epoch."""

    curves: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Any] = field(default_factory=dict)
    best_epoch: int = 0
    seconds: float = 0.0


def fit(job: Job, limits: Limits, checkpoint: Path, fingerprint: dict[str, Any]) -> Progress:
    """Trains, leaves the best epoch's weights in `job.model`, and returns what happened.

    After every epoch the state goes to `checkpoint`; a later call with the same `fingerprint` carries on from there and
    ends with the same weights, because each epoch seeds its own randomness.
    """
    schedule = torch.optim.lr_scheduler.LambdaLR(job.optimizer, _rate(limits, job.steps))
    progress = _resume(job, schedule, checkpoint, fingerprint)
    while not _finished(progress, job.goal, limits):
        epoch = len(progress.curves) + 1
        torch.manual_seed(limits.seed * 1_000_003 + epoch)
        started = time.monotonic()
        entry = {"epoch": epoch, "loss": _train_epoch(job, schedule, f"{job.name} {epoch}/{limits.epochs}")}
        job.model.eval()
        with torch.no_grad():
            entry |= job.evaluate()
        entry["seconds"] = time.monotonic() - started
        _record(job, progress, entry)
        _save(job, schedule, progress, checkpoint, fingerprint)
        print(" ".join(f"{k}={v:.4g}" for k, v in entry.items()), flush=True)
    job.model.load_state_dict(progress.best)
    job.model.eval()
    return progress


def _rate(limits: Limits, steps: int):
    """Returns the factor of the learning rate at a step: linear warm-up, then cosine to 0."""
    total, warm = limits.epochs * steps, max(1, int(limits.warmup * limits.epochs * steps))

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, total - warm))))

    return factor


def _train_epoch(job: Job, schedule: Any, label: str) -> float:
    """Makes one pass and returns the mean loss.

    Raises `ArithmeticError` that names the first batch whose loss is no number, before it touches the weights.
    """
    job.model.train()
    total = 0.0
    bar = tqdm(job.batches(), total=job.steps, desc=label, mininterval=1.0, disable=None)
    for number, batch in enumerate(bar, 1):
        loss = job.loss(batch)
        value = loss.item()
        if not math.isfinite(value):
            raise ArithmeticError(f"{label}: the loss of batch {number} of {job.steps} is {value}; lower the learning "
                                  "rate or look for odd values in the rows; the last checkpoint is whole")
        job.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        job.optimizer.step()
        schedule.step()
        total += value
    return total / job.steps


def _finished(progress: Progress, goal: str, limits: Limits) -> bool:
    done = len(progress.curves)
    return done >= limits.epochs or done - progress.best_epoch >= limits.patience > 0 and done > 0


def _record(job: Job, progress: Progress, entry: dict[str, float]) -> None:
    """Appends an epoch and keeps its weights if its goal is the best so far (ties: the earlier epoch)."""
    progress.curves.append(entry)
    progress.seconds += entry["seconds"]
    if progress.best_epoch == 0 or entry[job.goal] > progress.curves[progress.best_epoch - 1][job.goal]:
        progress.best_epoch = len(progress.curves)
        progress.best = {k: v.detach().clone() for k, v in job.model.state_dict().items()}


def _save(job: Job, schedule: Any, progress: Progress, path: Path, fingerprint: dict[str, Any]) -> None:
    """Writes the checkpoint beside its place, then renames it, so that a kill leaves the old one whole."""
    state = {"fingerprint": fingerprint, "model": job.model.state_dict(), "optimizer": job.optimizer.state_dict(),
             "schedule": schedule.state_dict(), "progress": vars(progress)}
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def _resume(job: Job, schedule: Any, path: Path, fingerprint: dict[str, Any]) -> Progress:
    """Loads the checkpoint into the job if there is one of the same run."""
    if not path.exists():
        return Progress()
    state = torch.load(path, weights_only=True)
    if state["fingerprint"] != fingerprint:
        print(f"{path} is of another run (rows, seed or configuration differ): starting anew", flush=True)
        return Progress()
    job.model.load_state_dict(state["model"])
    job.optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    progress = Progress(**state["progress"])
    print(f"resuming {job.name} after epoch {len(progress.curves)}", flush=True)
    return progress
