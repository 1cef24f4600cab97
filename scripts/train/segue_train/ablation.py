"""The ablation job: what the experts, the gates and the weights of the ranker are worth, in one table."""

import argparse
import math
from dataclasses import replace

import torch
from tqdm import tqdm

from . import report
from .config import Config, RankerConfig
from .fit import Limits, fit
from .ranker import RankerJob
from .rows import read_ranker_rows, read_schema

COLUMNS = ("auc", "logloss", "ece")


def designs(config: RankerConfig, tasks: list[str]) -> dict[str, RankerConfig]:
    """Returns the designs by name, all with as many units as the experts have together.

    A single task has its own network: the weight of every other loss is 0. The listwise term belongs to the first task.
    """
    bottom = replace(config, experts=1, expert=config.experts * config.expert, balance="fixed")
    alone = {
        f"single task, {task}": replace(
            bottom, task_weights=[float(other == task) for other in tasks], listwise=config.listwise * (task == tasks[0]))
        for task in tasks}
    return alone | {
        "shared bottom": bottom,
        "MMoE": replace(config, balance="fixed"),
        "MMoE, weights by uncertainty": replace(config, balance="uncertainty"),
    }


def run(args: argparse.Namespace, config: Config) -> None:
    """Trains every design on the same rows and writes `ablation.md` and the gates of both kinds of MMoE."""
    schema = read_schema(args.rows)
    rows = read_ranker_rows(args.rows, schema, schema.dim or config.towers.dim)
    heads = [f"{task} {name}" for task in schema.tasks for name in COLUMNS]
    lines = ["| design | ndcg@20 | " + " | ".join(heads) + " |"]
    lines.append("|---|---|" + "---|" * len(heads))
    print("\n".join(lines), flush=True)
    for name, design in tqdm(designs(config.ranker, schema.tasks).items(), desc="ablation", disable=None):
        torch.manual_seed(args.seed)
        job = RankerJob(design, schema, rows)
        learned = [task for task, weight in zip(schema.tasks, design.task_weights) if weight > 0]
        if schema.tasks[0] not in learned:
            job.goal = f"{learned[0]}_auc"
        lines.append(_measure(name, job, learned, args, design))
        print(lines[-1], flush=True)
        if design.experts > 1:
            stem = name.lower().replace(",", "").replace(" ", "-")
            report.gates(args.out / f"gates-{stem}.svg", schema.tasks, job.expert_use().tolist())
    (args.out / "ablation.md").write_text("\n".join(lines) + "\n")


def _measure(name: str, job: RankerJob, learned: list[str], args: argparse.Namespace, design: RankerConfig) -> str:
    """Trains one design, with a checkpoint of its own, and returns its line of the table."""
    checkpoint = args.out / "ablation.checkpoint"
    limits = Limits(design.epochs, design.patience, design.warmup, args.seed)
    progress = fit(job, limits, checkpoint, {"design": name, "seed": args.seed, "last_ms": job.rows.last_ms})
    checkpoint.unlink()
    found = progress.curves[progress.best_epoch - 1] | job.calibrate()
    cells = [_cell(found, "ndcg@20", job.tasks[0] in learned)]
    for task in job.tasks:
        cells += [_cell(found, f"{task}_{column}", task in learned) for column in COLUMNS]
    return f"| {name} | " + " | ".join(cells) + " |"


def _cell(found: dict[str, float], key: str, learned: bool) -> str:
    """Empty where a task was not learned or has no such figure, as AUC without positives."""
    value = found.get(key, math.nan)
    return f"{value:.4f}" if learned and math.isfinite(value) else ""
