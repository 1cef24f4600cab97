"""The baselines job: bundles of ALS and logistic regression, to be compared by `segue eval --bundle A --against B`.

Popularity and the most recent artists need no model: `segue eval` prints them beside every bundle.
"""

import argparse
import shutil
from pathlib import Path

from . import als, logistic, pipeline
from .config import Config
from .pipeline import Step


def steps(args: argparse.Namespace, config: Config) -> list[Step]:
    """Returns the steps: rows, ALS towers, their bundle, its rows, logistic regression, bundles as of the test."""
    rows, models, first = args.work / "rows", args.work / "models", args.work / "tower-bundle"
    alone = args.work / "als-only"
    job = argparse.Namespace(rows=rows, out=models, seed=args.seed)
    return [
        pipeline.tower_rows(args, rows),
        ("ALS", lambda: als.run(job, config)),
        pipeline.bundle(args, models, rows, "rank", first),
        pipeline.ranker_rows(args, rows, first),
        ("ALS without a ranker", lambda: _copy(models, alone)),
        ("logistic regression", lambda: logistic.run(job, config)),
        pipeline.bundle(args, alone, rows, "test", args.out / "als"),
        pipeline.bundle(args, models, rows, "test", args.out / "als-logistic"),
    ]


def _copy(models: Path, alone: Path) -> None:
    """Copies the towers before a ranker is beside them."""
    alone.mkdir(parents=True, exist_ok=True)
    for name in ("user_tower.onnx", "item_tower.onnx", "training.json", "model_card.md"):
        shutil.copyfile(models / name, alone / name)


def run(args: argparse.Namespace, config: Config) -> None:
    """Runs every step."""
    args.out.mkdir(parents=True, exist_ok=True)
    pipeline.follow(steps(args, config), args)
