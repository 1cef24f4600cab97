"""Writes the fixture models in `tests/data/models`: fixed random weights, the tensor contract of `docs/formats.md`.

They are tiny (dim 8) and know any catalogue: ids are taken modulo the size of their table. Committed, so tests need
neither Python nor torch; run this only after a change of the feature schema:

    pip install onnx==1.23.2 onnxruntime==1.32.0 numpy && python tests/data/make_models.py
"""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

DIM, HISTORY, SIGNALS, USER, ITEM, CROSS = 8, 50, 6, 26, 13, 24
TRACK_ROWS, ARTIST_ROWS, GENRE_ROWS = 64, 32, 16
OUT = Path(__file__).parent / "models"
RNG = np.random.RandomState(7)


def weights(*shape, scale=0.3):
    return (RNG.standard_normal(shape) * scale).astype(np.float32)


def tensor(name, dtype, dims):
    return helper.make_tensor_value_info(name, dtype, dims)


def write(name, nodes, inputs, output, constants, folder=None):
    initializers = [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()]
    graph = helper.make_graph(nodes, name, inputs, [output], initializers)
    model = helper.make_model(graph, producer_name="segue-fixture", opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, (folder or OUT) / f"{name}.onnx")


def unit(source, target):
    """Nodes that scale the last axis to length 1."""
    return [
        helper.make_node("ReduceL2", [source], [f"{target}_norm"], axes=[-1], keepdims=1),
        helper.make_node("Max", [f"{target}_norm", "tiny"], [f"{target}_safe"]),
        helper.make_node("Div", [source, f"{target}_safe"], [target]),
    ]


def user_tower():
    """Mean of the history weighted by its signals, plus a linear map of the user columns."""
    nodes = [
        helper.make_node("MatMul", ["history_signals", "signal_weights"], ["weight"]),
        helper.make_node("Mul", ["weight", "history_vectors"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "history_axis"], ["summed"], keepdims=0),
        helper.make_node("Gemm", ["user", "user_weights", "user_bias"], ["dense"]),
        helper.make_node("Add", ["summed", "dense"], ["raw"]),
        *unit("raw", "user_vector"),
    ]
    inputs = [
        tensor("history_vectors", TensorProto.FLOAT, ["batch", HISTORY, DIM]),
        tensor("history_signals", TensorProto.FLOAT, ["batch", HISTORY, SIGNALS]),
        tensor("user", TensorProto.FLOAT, ["batch", USER]),
    ]
    constants = {
        "signal_weights": np.array([[0.05], [0.5], [0.0], [0.0], [0.1], [0.2]], np.float32),
        "history_axis": np.array([1], np.int64),
        "user_weights": weights(USER, DIM, scale=0.05),
        "user_bias": weights(DIM, scale=0.1),
        "tiny": np.float32(1e-6),
    }
    write("user_tower", nodes, inputs, tensor("user_vector", TensorProto.FLOAT, ["batch", DIM]), constants)


def item_tower():
    """Sum of three embeddings and a linear map of the item columns."""
    nodes, sizes = [], {"track": TRACK_ROWS, "artist": ARTIST_ROWS, "genre": GENRE_ROWS}
    for key in sizes:
        nodes.append(helper.make_node("Mod", [key, f"{key}_rows"], [f"{key}_row"]))
        nodes.append(helper.make_node("Gather", [f"{key}_table", f"{key}_row"], [f"{key}_vector"]))
    nodes += [
        helper.make_node("Gemm", ["item", "item_weights", "item_bias"], ["dense"]),
        helper.make_node("Sum", ["dense", "track_vector", "artist_vector", "genre_vector"], ["raw"]),
        *unit("raw", "item_vector"),
    ]
    inputs = [tensor("item", TensorProto.FLOAT, ["batch", ITEM])]
    inputs += [tensor(key, TensorProto.INT64, ["batch"]) for key in sizes]
    constants = {f"{key}_table": weights(rows, DIM) for key, rows in sizes.items()}
    constants |= {f"{key}_rows": np.int64(rows) for key, rows in sizes.items()}
    constants |= {"item_weights": weights(ITEM, DIM), "item_bias": weights(DIM), "tiny": np.float32(1e-6)}
    write("item_tower", nodes, inputs, tensor("item_vector", TensorProto.FLOAT, ["batch", DIM]), constants)


def ranker():
    """One logistic regression a task; similarity to the listener makes a play likelier and a skip rarer."""
    nodes = [
        helper.make_node("MatMul", ["user", "user_weights"], ["user_part"]),
        helper.make_node("MatMul", ["items", "item_weights"], ["item_part"]),
        helper.make_node("MatMul", ["cross", "cross_weights"], ["cross_part"]),
        helper.make_node("Sum", ["user_part", "item_part", "cross_part", "bias"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["scores"]),
    ]
    inputs = [
        tensor("user", TensorProto.FLOAT, [1, USER + DIM]),
        tensor("items", TensorProto.FLOAT, ["rows", ITEM + DIM]),
        tensor("cross", TensorProto.FLOAT, ["rows", CROSS]),
    ]
    cross = weights(CROSS, 3, scale=0.1)
    cross[0] = [1.5, -1.5, 1.0]
    constants = {
        "user_weights": weights(USER + DIM, 3, scale=0.05),
        "item_weights": weights(ITEM + DIM, 3, scale=0.1),
        "cross_weights": cross,
        "bias": np.array([0.2, -1.0, -2.0], np.float32),
    }
    write("ranker", nodes, inputs, tensor("scores", TensorProto.FLOAT, ["rows", 3]), constants)


def probe():
    """The smallest model there is: the server runs it to see whether a device works."""
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    folder = Path(__file__).parents[2] / "src" / "inference"
    write("probe", nodes, [tensor("x", TensorProto.FLOAT, [1])], tensor("y", TensorProto.FLOAT, [1]), {}, folder)


def parity_inputs():
    def rounded(*shape):
        return RNG.uniform(-1, 1, shape).round(2).astype(np.float32)

    vectors, signals = np.zeros((2, HISTORY, DIM), np.float32), np.zeros((2, HISTORY, SIGNALS), np.float32)
    vectors[:, :2], signals[:, :2] = rounded(2, 2, DIM), rounded(2, 2, SIGNALS)
    ids = {"track": [0, 1, 40], "artist": [0, 3, 12], "genre": [0, 1, 5]}
    return {
        "user_tower": {"history_vectors": vectors, "history_signals": signals, "user": rounded(2, USER)},
        "item_tower": {"item": rounded(3, ITEM)} | {key: np.array(value) for key, value in ids.items()},
        "ranker": {"user": rounded(1, USER + DIM), "items": rounded(4, ITEM + DIM), "cross": rounded(4, CROSS)},
    }


def as_json(array):
    flat = [round(float(v), 7) if array.dtype == np.float32 else int(v) for v in array.ravel()]
    return {"shape": list(array.shape), "data": flat}


def parity():
    report = {}
    for name, inputs in parity_inputs().items():
        session = onnxruntime.InferenceSession(str(OUT / f"{name}.onnx"))
        outputs = dict(zip([o.name for o in session.get_outputs()], session.run(None, inputs)))
        report[name] = {
            "inputs": {key: as_json(value) for key, value in inputs.items()},
            "outputs": {key: as_json(value) for key, value in outputs.items()},
        }
    (OUT / "parity.json").write_text(json.dumps(report, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    user_tower()
    item_tower()
    ranker()
    probe()
    parity()
    training = {"seed": 7, "epochs": 0, "note": "fixture: random weights"}
    (OUT / "training.json").write_text(json.dumps(training) + "\n")
