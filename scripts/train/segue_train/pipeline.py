"""The `all` job: every step from canonical tables to a bundle, in order. The Rust command lines live only here."""

import argparse
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from . import first_phase, ranker, towers
from .config import Config

Step = tuple[str, list[str] | Callable[[], None]]


def steps(args: argparse.Namespace, config: Config) -> list[Step]:
    """Returns the steps: a title, and a command line or a job of this package."""
    rows, models, first = args.work / "rows", args.work / "models", args.work / "tower-bundle"
    job = argparse.Namespace(rows=rows, out=models, seed=args.seed)
    return [
        tower_rows(args, rows),
        ("towers", lambda: towers.run(job, config)),
        bundle(args, models, rows, "rank", first),
        ranker_rows(args, rows, first),
        ("ranker", lambda: ranker.run(job, config)),
        ("first phase", lambda: first_phase.run(job, config)),
        bundle(args, models, rows, "test", args.out),
    ]


def tower_rows(args: argparse.Namespace, rows: Path) -> Step:
    """The step that writes the towers' rows to `rows`."""
    return "training rows for the towers", [
        str(args.segue), "backfill", "towers", "--data", str(args.data), "--out", str(rows),
        "--rank-days", str(args.rank_days), "--test-days", str(args.test_days)]


def ranker_rows(args: argparse.Namespace, rows: Path, towers_bundle: Path) -> Step:
    """The step that writes the ranker's rows to `rows`, with what `towers_bundle` retrieves."""
    return "training rows for the ranker", [
        str(args.segue), "backfill", "ranker", "--data", str(args.data), "--bundle", str(towers_bundle), "--rows", str(rows),
        "--out", str(rows), "--negatives", str(args.negatives), "--seed", str(args.seed)]


def bundle(args: argparse.Namespace, models: Path, rows: Path, as_of: str, out: Path) -> Step:
    """The step that builds the bundle `out` of `models` as of `rank` or `test`."""
    return f"bundle as of {as_of}: {out.name}", [
        str(args.segue), "bundle", "build", "--data", str(args.data), "--models", str(models), "--rows", str(rows),
        "--as-of", as_of, "--out", str(out)]


def run(args: argparse.Namespace, config: Config) -> None:
    """Runs every step."""
    follow(steps(args, config), args)


def follow(plan: list[Step], args: argparse.Namespace) -> None:
    """Runs a plan; a step that fails ends the run with its command line."""
    (args.work / "models").mkdir(parents=True, exist_ok=True)
    for number, (title, action) in enumerate(plan, 1):
        print(f"[{number}/{len(plan)}] {title}", flush=True)
        started = time.monotonic()
        if callable(action):
            action()
        else:
            _call(action)
        print(f"[{number}/{len(plan)}] {title}: {time.monotonic() - started:.1f} s", flush=True)
    print(f"bundle: {args.out}", flush=True)


def _call(command: list[str]) -> None:
    """Runs one command. Raises `RuntimeError` that shows it when it is missing or fails."""
    line = " ".join(command)
    try:
        status = subprocess.run(command, check=False).returncode
    except OSError as error:
        raise RuntimeError(f"cannot run `{Path(command[0])}`: {error}; build it with `cargo build --release`") from error
    if status != 0:
        raise RuntimeError(f"step failed with exit code {status}: {line}")
