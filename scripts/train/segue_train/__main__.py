"""Command line: `python -m segue_train towers|ranker|first-phase|ablation|export|baselines|all`."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import torch

from . import ablation, baselines, config, first_phase, pipeline, precision, ranker, towers

JOBS = {"towers": towers.run, "ranker": ranker.run, "first-phase": first_phase.run, "ablation": ablation.run,
        "export": precision.run, "baselines": baselines.run, "all": pipeline.run}


def parser() -> argparse.ArgumentParser:
    """Returns the command line's grammar."""
    top = argparse.ArgumentParser(prog="segue_train", description="Trains Segue's models and exports them to ONNX.")
    jobs = top.add_subparsers(dest="job", required=True)
    for name, text in (("towers", "train the user and item towers"), ("ranker", "train the ranker"),
                       ("first-phase", "train the linear scorer in front of the ranker"),
                       ("ablation", "compare the ranker with single tasks, a shared bottom and learned weights")):
        job = jobs.add_parser(name, help=text, description=text,
                              epilog=f"example: python -m segue_train {name} --rows rows --out models")
        job.add_argument("--rows", type=Path, required=True, help="rows directory that `segue backfill` wrote")
        job.add_argument("--out", type=Path, required=True, help="models directory; made if absent")
        if name == "ranker":
            job.add_argument("--from", dest="start", type=Path, metavar="DIR",
                             help="models directory or bundle whose ranker is trained on instead of a new one")
        _common(job)
    text = "write the models with the ranker in another precision, and measure what that costs and gains"
    job = jobs.add_parser("export", help=text, description=text,
                          epilog="example: python -m segue_train export --rows rows --models models --precision fp16 --out fp16")
    job.add_argument("--rows", type=Path, required=True, help="rows directory with ranker.parquet, whose valid rows are scored")
    job.add_argument("--models", type=Path, required=True, help="models directory, or a bundle")
    job.add_argument("--out", type=Path, required=True, help="models directory to write; made if absent")
    job.add_argument("--precision", choices=("fp32", "fp16", "int8"), default="fp32", help="of the ranker (default fp32)")
    _common(job)
    _pipeline(jobs, "all", "canonical tables to a bundle, every step", "bundle directory to write", "out/train")
    _pipeline(jobs, "baselines", "canonical tables to bundles of ALS, alone and with logistic regression",
              "folder for the bundles `als` and `als-logistic`", "out/baselines")
    return top


def _pipeline(jobs: Any, name: str, text: str, out: str, work: str) -> None:
    """Adds a job that begins with canonical tables."""
    job = jobs.add_parser(name, help=text, description=text,
                          epilog=f"example: python -m segue_train {name} --data data --out bundle --segue target/release/segue")
    job.add_argument("--data", type=Path, required=True, help="data directory with tracks.parquet and events.parquet")
    job.add_argument("--out", type=Path, required=True, help=out)
    job.add_argument("--segue", type=Path, required=True, help="the `segue` binary")
    job.add_argument("--work", type=Path, default=Path(work), help=f"folder for rows and models (default {work})")
    job.add_argument("--rank-days", type=int, default=14, help="days the ranker learns from (default 14)")
    job.add_argument("--test-days", type=int, default=14, help="last days, kept for evaluation (default 14)")
    job.add_argument("--negatives", type=int, default=15,
                     help="tracks a moment that retrieval offered and that were not played (default 15)")
    _common(job)


def _common(job: argparse.ArgumentParser) -> None:
    job.add_argument("--config", type=Path, help="TOML file over config/default.toml")
    job.add_argument("--seed", type=int, default=1, help="seed of weights, order and sampling (default 1)")
    job.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="CPU threads (default: all)")
    job.add_argument("--fresh", action="store_true", help="ignore the checkpoint of an interrupted run")


def main(arguments: list[str] | None = None) -> int:
    """Runs a job; 0 done, 1 failed, 2 wrong usage (by argparse)."""
    args = parser().parse_args(arguments)
    torch.set_num_threads(args.threads)
    try:
        models = args.work / "models" if args.job in ("all", "baselines") else args.out
        models.mkdir(parents=True, exist_ok=True)
        if args.fresh:
            for checkpoint in models.glob("*.checkpoint"):
                checkpoint.unlink()
        JOBS[args.job](args, config.load(args.config))
    except (OSError, ValueError, KeyError, RuntimeError, ArithmeticError) as error:
        print(f"segue_train {args.job}: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
