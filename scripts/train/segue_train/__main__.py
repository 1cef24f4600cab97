"""Command line: `python -m segue_train towers|ranker|ablation|all`."""

import argparse
import os
import sys
from pathlib import Path

import torch

from . import ablation, config, pipeline, ranker, towers

JOBS = {"towers": towers.run, "ranker": ranker.run, "ablation": ablation.run, "all": pipeline.run}


def parser() -> argparse.ArgumentParser:
    """Returns the command line's grammar."""
    top = argparse.ArgumentParser(prog="segue_train", description="Trains Segue's models and exports them to ONNX.")
    jobs = top.add_subparsers(dest="job", required=True)
    for name, text in (("towers", "train the user and item towers"), ("ranker", "train the ranker"),
                       ("ablation", "compare the ranker with single tasks, a shared bottom and learned weights")):
        job = jobs.add_parser(name, help=text, description=text,
                              epilog=f"example: python -m segue_train {name} --rows rows --out models")
        job.add_argument("--rows", type=Path, required=True, help="rows directory that `segue backfill` wrote")
        job.add_argument("--out", type=Path, required=True, help="models directory; made if absent")
        _common(job)
    text = "canonical tables to a bundle, every step"
    job = jobs.add_parser("all", help=text, description=text,
                          epilog="example: python -m segue_train all --data data --out bundle --segue target/release/segue")
    job.add_argument("--data", type=Path, required=True, help="data directory with tracks.parquet and events.parquet")
    job.add_argument("--out", type=Path, required=True, help="bundle directory to write")
    job.add_argument("--segue", type=Path, required=True, help="the `segue` binary")
    job.add_argument("--work", type=Path, default=Path("out/train"), help="folder for rows and models (default out/train)")
    job.add_argument("--rank-days", type=int, default=14, help="days the ranker learns from (default 14)")
    job.add_argument("--test-days", type=int, default=14, help="last days, kept for evaluation (default 14)")
    job.add_argument("--negatives", type=int, default=15,
                     help="tracks a moment that retrieval offered and that were not played (default 15)")
    _common(job)
    return top


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
        models = args.work / "models" if args.job == "all" else args.out
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
