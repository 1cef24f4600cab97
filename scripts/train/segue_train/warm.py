"""The weights of a ranker that was exported, for a training that goes on from them."""

import hashlib
import shutil
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

RANKER, PARITY = "ranker.onnx", "parity.json"


def weights(path: Path) -> dict[str, Tensor]:
    """Returns the named constants of an exported model: parameters and buffers keep their names in the graph."""
    graph = onnx.load(path, load_external_data=False).graph
    return {entry.name: torch.from_numpy(numpy_helper.to_array(entry).copy()) for entry in graph.initializer}


def start(model: nn.Module, source: Path, out: Path) -> str:
    """Gives `model` the weights of `source/ranker.onnx`, with its standardisation and calibration, and returns the file's digest.

    Copies `source/parity.json` to `out` if it has none, so that the rows of the towers stay in it. Raises `ValueError` when the
    file is no float32 ranker of the same sizes.
    """
    path = source / RANKER
    found, own = weights(path), model.state_dict()
    trained = [name for name in own if name != "log_variance"]
    missing = [name for name in trained if name not in found]
    if missing:
        raise ValueError(f"{path} has no {', '.join(missing[:3])}: it is no float32 ranker of this design; train a new one")
    other = [f"{name} {list(found[name].shape)} and not {list(own[name].shape)}" for name in trained
             if found[name].shape != own[name].shape]
    if other:
        raise ValueError(f"{path} has {'; '.join(other[:3])}: other sizes in [ranker], or rows of other columns")
    model.load_state_dict(own | {name: found[name] for name in trained})
    if (source / PARITY).exists() and not (out / PARITY).exists() and source.resolve() != out.resolve():
        shutil.copyfile(source / PARITY, out / PARITY)
    return hashlib.sha256(path.read_bytes()).hexdigest()
