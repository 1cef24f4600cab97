"""`model_card.md`: what the models of a directory are, from what, how good and how they are called. For people."""

import json
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import onnx

from .rows import Schema

NAME = "model_card.md"
MODELS = ("user_tower", "item_tower", "ranker", "first_phase")
JOBS = ("towers", "ranker", "first_phase")
KINDS = {onnx.TensorProto.FLOAT: "f32", onnx.TensorProto.INT64: "i64"}


def revision() -> str:
    """Returns the commit of this package's sources, with `+changes` if files differ from it; `unknown` outside git."""
    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(Path(__file__).parent), *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()
    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "--", "..") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def write(out: Path, schema: Schema) -> None:
    """Writes the card of the models directory `out` from its `training.json`, its ONNX files and the rows' `schema`."""
    facts = json.loads((out / "training.json").read_text())
    parts = ["# Model card", "", f"Code: git revision `{facts.get('revision', 'unknown')}`."]
    for job in JOBS:
        own = {k.removeprefix(f"{job}_"): v for k, v in facts.items() if k.startswith(f"{job}_")}
        if own:
            parts += _job(job, own)
    parts += ["", "## Feature schema", "", f"Version {schema.raw['feature_version']}, history of {schema.history_len} plays. "
              f"Known to the towers: {schema.raw['tracks']} tracks, {schema.artists} artists, {schema.genres} genres.", ""]
    for name, columns in (("signals", schema.signals), ("user", schema.user), ("item", schema.item),
                          ("cross", schema.cross), ("heads", schema.tasks)):
        parts.append(f"- {name} ({len(columns)}): " + ", ".join(columns))
    parts += ["", "## Tensors", "", "| model | opset | inputs | output | bytes |", "|---|---|---|---|---|"]
    parts += [_tensors(out / f"{name}.onnx") for name in MODELS if (out / f"{name}.onnx").exists()]
    (out / NAME).write_text("\n".join(parts) + "\n")


def _job(job: str, facts: dict[str, Any]) -> list[str]:
    """The section of one job: window, seed, counts, then a row a metric with its interval where it has one."""
    window = [datetime.fromtimestamp(facts.pop(k) / 1000, timezone.utc).strftime("%Y-%m-%d %H:%M")
              for k in ("first_ms", "last_ms") if k in facts]
    facts.pop("wall_seconds", None)
    notes = {k: v for k, v in facts.items() if isinstance(v, (int, str))}
    numbers = {k: v for k, v in facts.items() if isinstance(v, float) and not k.endswith(("_low", "_high"))}
    lines = ["", f"## {job.replace('_', ' ').capitalize()}", "", f"Data: {' to '.join(window) or 'unknown'} (UTC).", ""]
    lines += [f"- {name.replace('_', ' ')}: {value}" for name, value in notes.items()]
    lines += ["", "| valid metric | value | 95 % interval |", "|---|---|---|"]
    for name, value in numbers.items():
        low, high = facts.get(f"{name}_low"), facts.get(f"{name}_high")
        lines.append(f"| {name} | {value:.4f} | " + (f"{low:.4f} to {high:.4f} |" if low is not None else " |"))
    return lines


def _tensors(path: Path) -> str:
    model = onnx.load(path)
    shown = [", ".join(map(_tensor, values)) for values in (model.graph.input, model.graph.output)]
    return f"| {path.stem} | {opset(model)} | {shown[0]} | {shown[1]} | {path.stat().st_size} |"


def opset(model: onnx.ModelProto) -> int:
    """Returns the version of the standard operators."""
    return next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))


def _tensor(value: onnx.ValueInfoProto) -> str:
    kind = value.type.tensor_type
    sizes = ", ".join(str(d.dim_value) if d.dim_value else "\\*" for d in kind.shape.dim)
    return f"{value.name} {KINDS.get(kind.elem_type, kind.elem_type)}[{sizes}]"
