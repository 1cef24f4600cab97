"""The export job: the ranker in half precision or with 8-bit weights, and what that costs and gains on this CPU.

Inputs and outputs stay float32, so the server takes either file as it takes the first.
"""

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from . import card, metrics
from .config import Config
from .ranker import CUT, groups
from .rows import RankerRows, read_ranker_rows, read_schema

CANDIDATES = 1000
ROUNDS = 200
RANKER = "ranker.onnx"


def convert(source: Path, target: Path, precision: str) -> None:
    """Writes the model `source` in `precision` (`fp32`, `fp16`, `int8`) to `target`.

    `int8`: weights of matrix products as 8-bit integers with a scale a column, activations scaled at run time.
    """
    if precision == "fp32":
        shutil.copyfile(source, target)
    elif precision == "fp16":
        model = OnnxModel(convert_float_to_float16(onnx.load(source), keep_io_types=True))
        model.topological_sort()  # the conversion puts its casts last
        onnx.checker.check_model(model.model)
        onnx.save(model.model, target)
    elif precision == "int8":
        quantize_dynamic(source, target, per_channel=True, weight_type=QuantType.QInt8)
    else:
        raise ValueError(f"precision must be fp32, fp16 or int8, not {precision}")


def session(path: Path) -> onnxruntime.InferenceSession:
    """Opens a model as the server does: CPU, one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def scores(model: onnxruntime.InferenceSession, rows: RankerRows, lists: list[np.ndarray]) -> np.ndarray:
    """Returns the scores of the rows of `lists`, one call a list as when serving, [rows, tasks]."""
    return np.concatenate([model.run(None, {
        "user": rows.user[at[:1]].numpy(), "items": rows.item[at].numpy(), "cross": rows.cross[at].numpy()})[0] for at in lists])


def quality(found: np.ndarray, rows: RankerRows, lists: list[np.ndarray], tasks: list[str]) -> dict[str, float]:
    """Returns NDCG of the first head within the lists, and AUC a head where both classes exist."""
    at = np.concatenate(lists)
    label, mask = rows.label[at].numpy(), rows.mask[at].numpy() > 0
    there = np.arange(max(map(len, lists))) < np.array([len(part) for part in lists])[:, None]
    padded, wanted = np.full(there.shape, -np.inf, np.float32), np.zeros(there.shape, bool)
    padded[there], wanted[there] = found[:, 0], (label[:, 0] * mask[:, 0]) > 0
    figures = {f"ndcg@{CUT}": metrics.group_ndcg(torch.from_numpy(padded), torch.from_numpy(wanted), CUT)}
    for k, task in enumerate(tasks):
        area = metrics.auc(found[mask[:, k], k], label[mask[:, k], k])
        if area is not None:
            figures[f"{task}_auc"] = area
    return figures


def time_ratio(first: onnxruntime.InferenceSession, second: onnxruntime.InferenceSession, rows: RankerRows) -> tuple[float, float]:
    """Returns the median CPU milliseconds of both over `CANDIDATES` rows, measured in turns on one thread."""
    at = np.arange(CANDIDATES) % len(rows.group)
    feed = {"user": rows.user[at[:1]].numpy(), "items": rows.item[at].numpy(), "cross": rows.cross[at].numpy()}
    taken: tuple[list[float], list[float]] = ([], [])
    for turn in range(ROUNDS + ROUNDS // 10):
        for model, times in zip((first, second), taken):
            started = time.thread_time()
            model.run(None, feed)
            if turn >= ROUNDS // 10:
                times.append(1000 * (time.thread_time() - started))
    return float(np.median(taken[0])), float(np.median(taken[1]))


def run(args: argparse.Namespace, config: Config) -> None:
    """Copies the models of `args.models` to `args.out` with the ranker converted, compares both, and prints a table row."""
    schema = read_schema(args.rows)
    rows = read_ranker_rows(args.rows, schema, schema.dim or config.towers.dim)
    source = args.models / RANKER
    for name in ("user_tower.onnx", "item_tower.onnx", "first_phase.onnx", "training.json", "parity.json"):
        if (args.models / name).exists():
            shutil.copyfile(args.models / name, args.out / name)
    with tempfile.TemporaryDirectory(dir=args.out) as folder:
        convert(source, Path(folder) / RANKER, args.precision)
        (Path(folder) / RANKER).replace(args.out / RANKER)
    before, after = session(source), session(args.out / RANKER)
    lists = [part[part >= 0].numpy() for part in groups(rows.group, rows.valid)]
    old, new = (scores(model, rows, lists) for model in (before, after))
    good, now = (quality(found, rows, lists, schema.tasks) for found in (old, new))
    times = time_ratio(before, after, rows)
    facts: dict[str, Any] = {
        "precision": args.precision, "precision_max_difference": float(np.abs(new - old).max()),
        "precision_time_ratio": times[1] / times[0],
    } | {f"precision_{name.replace('@', '_at_')}_loss": good[name] - now[name] for name in good}
    _keep(args.out, facts, after)
    card.write(args.out, schema)
    sizes = [path.stat().st_size for path in (source, args.out / RANKER)]
    heads = " | ".join(f"{now[name]:.5f} ({now[name] - good[name]:+.5f})" for name in now)
    print(f"| precision | KiB | ms a {CANDIDATES} | time ratio | max difference | " + " | ".join(now) + " |")
    print(f"| {args.precision} | {sizes[1] / 1024:.0f} | {times[1]:.3f} | {times[1] / times[0]:.2f} | "
          f"{facts['precision_max_difference']:.1e} | {heads} |", flush=True)


def _keep(out: Path, facts: dict[str, Any], model: onnxruntime.InferenceSession) -> None:
    """Adds `ranker_<fact>` to `training.json`; the parity rows of the ranker become the converted graph's answers."""
    path = out / "training.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(known | {f"ranker_{k}": v for k, v in facts.items()}, indent=2) + "\n")
    path = out / "parity.json"
    if path.exists():
        entries = json.loads(path.read_text())
        feed = {k: np.array(v["data"], np.float32).reshape(v["shape"]) for k, v in entries["ranker"]["inputs"].items()}
        answer = model.run(None, feed)[0]
        entries["ranker"]["outputs"]["scores"] = {"shape": list(answer.shape), "data": answer.ravel().tolist()}
        path.write_text(json.dumps(entries))
