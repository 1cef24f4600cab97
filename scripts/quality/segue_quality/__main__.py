"""Command line: `python -m segue_quality topn|context --data DIR`."""

import argparse
import sys
import time
from pathlib import Path

import torch

from . import context, topn

JOBS = {
    "topn": (topn, "protocol A: HetRec Last.fm, top-n over all artists", [1, 2, 3]),
    "context": (context, "protocol B: SiTunes, context ranking (AUC) and mood (accuracy)", [1, 2, 3]),
}


def parser() -> argparse.ArgumentParser:
    """Returns the command line's grammar."""
    top = argparse.ArgumentParser(prog="quality", description="Recommendation quality beside published figures.")
    jobs = top.add_subparsers(dest="job", required=True)
    for name, (_, text, seeds) in JOBS.items():
        job = jobs.add_parser(name, help=text, description=text,
                              epilog=f"example: scripts/quality/run {name} --data DIR --figure docs/figures/{name}.svg")
        job.add_argument("--data", type=Path, required=True, help="folder of the data set, as its authors publish it")
        job.add_argument("--seeds", type=int, nargs="+", default=seeds,
                         help=f"seeds of models, in topn of splits too (default {seeds})")
        job.add_argument("--figure", type=Path, help="SVG to write")
        job.add_argument("--threads", type=int, default=1, help="CPU threads (default 1)")
    return top


def main(arguments: list[str] | None = None) -> int:
    """Runs a job and prints its table; 0 done, 1 failed, 2 wrong usage (by argparse)."""
    args = parser().parse_args(arguments)
    torch.set_num_threads(args.threads)
    module, title, _ = JOBS[args.job]
    started = time.monotonic()
    try:
        rows = module.run(args)
        if args.figure:
            rows.figure(args.figure, title, module.METRICS)
    except (OSError, ValueError, ArithmeticError) as error:
        print(f"quality {args.job}: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(rows.table(module.METRICS))
    print(f"quality {args.job}: {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
