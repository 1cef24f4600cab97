"""What a training run leaves for people: `training.json`, `curves-<job>.csv`, `curves-<job>.svg` and `gates-ranker.svg`."""

import csv
import json
import math
from pathlib import Path
from typing import Any

from . import card
from .fit import Progress

WIDTH, HEIGHT, MARGIN = 480, 240, 40


def write(name: str, out: Path, progress: Progress, goal: str, facts: dict[str, Any]) -> None:
    """Writes the curves and replaces the entries `<name>_*` of `training.json`: `facts` and the best epoch's metrics.

    A metric that could not be computed (NaN in the curves) is left out.
    """
    with (out / f"curves-{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(progress.curves[0]))
        writer.writeheader()
        writer.writerows(progress.curves)
    (out / f"curves-{name}.svg").write_text(_plot(progress.curves, ["loss", goal]))
    best = {k: v for k, v in progress.curves[progress.best_epoch - 1].items()
            if k not in ("epoch", "seconds") and math.isfinite(v)}
    keep(name, out, facts | {"epochs": len(progress.curves), "best_epoch": progress.best_epoch,
                           "wall_seconds": round(progress.seconds, 1)} | best)


def keep(name: str, out: Path, entries: dict[str, Any]) -> None:
    """Replaces the entries `<name>_*` of `training.json`, and the revision of the code."""
    path = out / "training.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    kept = {k: v for k, v in kept.items() if not k.startswith(f"{name}_")}
    named = {f"{name}_{k.replace('@', '_at_')}": v for k, v in entries.items()}
    path.write_text(json.dumps(kept | named | {"revision": card.revision()}, indent=2) + "\n")


def gates(path: Path, tasks: list[str], use: list[list[float]]) -> None:
    """Writes an SVG with a row a task and a bar an expert: the mean weight that the task's gate gives it, 0..1."""
    row, names, step = 30, 90, (WIDTH - 100) / max(1, len(use[0]))
    parts = []
    for at, (task, weights) in enumerate(zip(tasks, use)):
        top = 26 + row * at
        parts.append(f'<text x="{names - 8}" y="{top + 16}" text-anchor="end">{task}</text>')
        parts += [f'<rect x="{names + k * step:.1f}" y="{top}" width="{weight * (step - 4):.1f}" height="{row - 8}" '
                  f'fill="#36c"/><text x="{names + k * step + 3:.1f}" y="{top + 15}">{weight:.2f}</text>'
                  for k, weight in enumerate(weights)]
    heads = "".join(f'<text x="{names + k * step:.1f}" y="18">expert {k + 1}</text>' for k in range(len(use[0])))
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{34 + row * len(tasks)}" '
                    f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>'
                    f'{heads}{"".join(parts)}</svg>\n')


def _plot(curves: list[dict[str, float]], keys: list[str]) -> str:
    """Returns an SVG with one line a key over the epochs, each on its own scale, ends labelled."""
    lines = "".join(_line(key, [c[key] for c in curves], colour) for key, colour in zip(keys, ("#b33", "#36c")))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" '
            f'font-size="11"><rect width="100%" height="100%" fill="white"/>{lines}</svg>\n')


def _line(key: str, values: list[float], colour: str) -> str:
    low, high = min(values), max(values)
    step = (WIDTH - 4 * MARGIN) / max(1, len(values) - 1)
    points = [(MARGIN + i * step, HEIGHT - MARGIN - (v - low) / ((high - low) or 1) * (HEIGHT - 2 * MARGIN))
              for i, v in enumerate(values)]
    x, y = points[-1]
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
    return (f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
            f'<text x="{x + 4:.1f}" y="{y:.1f}" fill="{colour}">{key} {values[-1]:.4g}</text>')
