"""Writes the ONNX files and the parity rows, and checks ONNX Runtime against PyTorch."""

import json
import logging
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from .rows import Items, RankerRows, TowerRows

OPSET = 18
IR_VERSION = 10
TOLERANCE = 1e-5
PARITY_ROWS = 4

logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # else it warns of torchvision's absence at each export


def write(model: nn.Module, name: str, inputs: dict[str, Tensor], output: str, fixed: set[str], out: Path) -> None:
    """Exports `model` to `out/<name>.onnx` and adds its parity rows.

    `inputs` are example tensors in the order of `forward`; their first axis is dynamic but for those named in `fixed`.
    Raises `ArithmeticError` when ONNX Runtime and PyTorch differ by more than `TOLERANCE`.
    """
    model.eval()
    rows = torch.export.Dim.DYNAMIC
    shapes = {key: {} if key in fixed else {0: rows} for key in inputs}
    path = out / f"{name}.onnx"
    program = torch.onnx.export(
        model, kwargs=inputs, input_names=list(inputs), output_names=[output], dynamic_shapes=shapes,
        opset_version=OPSET, dynamo=True, external_data=False, verbose=False)
    graph = program.model_proto
    graph.ir_version = IR_VERSION
    _forget_origin(graph)
    for value in [*graph.graph.input, *graph.graph.output]:
        if value.name not in fixed:
            value.type.tensor_type.shape.dim[0].dim_param = "rows"
    onnx.checker.check_model(graph)
    onnx.save(graph, path)
    with torch.no_grad():
        expected = model(**inputs)
    _check(path, inputs, expected)
    _check(path, {k: v if k in fixed else v[:1] for k, v in inputs.items()}, expected[:1])
    _parity(out / "parity.json", name, inputs, {output: expected})


def _forget_origin(graph: onnx.ModelProto) -> None:
    """Drops the exporter's notes on which line of which file made a node: paths of this machine, a third of the bytes."""
    parts = [graph, graph.graph, *graph.graph.node, *graph.graph.input, *graph.graph.output, *graph.graph.value_info,
             *graph.graph.initializer]
    for part in parts:
        part.doc_string = ""
        del part.metadata_props[:]


def _check(path: Path, inputs: dict[str, Tensor], expected: Tensor) -> None:
    """Runs the file as the server will: one thread, CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    got = session.run(None, {key: value.numpy() for key, value in inputs.items()})[0]
    gap = float(np.abs(got - expected.numpy()).max())
    if not gap <= TOLERANCE:
        raise ArithmeticError(f"{path}: ONNX Runtime and PyTorch differ by {gap:.2e}, more than {TOLERANCE:.0e}")


def _parity(path: Path, name: str, inputs: dict[str, Tensor], outputs: dict[str, Tensor]) -> None:
    """Replaces the entry `name` of `parity.json`."""
    entries = json.loads(path.read_text()) if path.exists() else {}
    entries[name] = {"inputs": _plain(inputs), "outputs": _plain(outputs)}
    path.write_text(json.dumps(entries))


def _plain(tensors: dict[str, Tensor]) -> dict[str, dict[str, list]]:
    return {k: {"shape": list(v.shape), "data": v.flatten().tolist()} for k, v in tensors.items()}


def towers(model: nn.Module, items: Items, rows: TowerRows, out: Path) -> None:
    """Writes `item_tower.onnx` and `user_tower.onnx` of a `Towers` model. One item row has every id unknown."""
    picked = torch.linspace(0, len(items) - 1, PARITY_ROWS).long()
    known = torch.arange(PARITY_ROWS) < PARITY_ROWS - 1
    write(model.item, "item_tower", {
        "item": items.dense[picked], "track": (picked + 1) * known, "artist": items.artist[picked] * known,
        "genre": items.genre[picked] * known,
    }, "item_vector", set(), out)
    chosen = rows.valid[torch.linspace(0, len(rows.valid) - 1, PARITY_ROWS).long()]
    vectors = model.item.catalogue(items)
    history = torch.where((rows.history[chosen] >= 0).unsqueeze(-1), vectors[rows.history[chosen].clamp(min=0).long()], 0.0)
    write(model.user, "user_tower", {
        "history_vectors": history, "history_signals": rows.signals[chosen], "user": rows.user[chosen],
    }, "user_vector", set(), out)


def ranker(model: nn.Module, name: str, rows: RankerRows, group: Tensor, out: Path) -> None:
    """Writes `<name>.onnx`; the parity rows are the first of one valid `group`."""
    chosen = group[group >= 0][:PARITY_ROWS]
    write(model, name, {
        "user": rows.user[chosen[:1]], "items": rows.item[chosen], "cross": rows.cross[chosen],
    }, "scores", {"user"}, out)
