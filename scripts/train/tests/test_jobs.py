"""Both jobs from rows to ONNX, in seconds: `python -m unittest discover -s scripts/train/tests`."""

import argparse
import csv
import json
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import numpy as np
import onnx
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import make_rows  # noqa: E402
from segue_train import ablation, config, first_phase, fit, ranker, towers  # noqa: E402

SHAPES = {
    "user_tower": ({"history_vectors": ["rows", 8, 64], "history_signals": ["rows", 8, 6], "user": ["rows", 5]},
                   {"user_vector": ["rows", 64]}),
    "item_tower": ({"item": ["rows", 4], "track": ["rows"], "artist": ["rows"], "genre": ["rows"]},
                   {"item_vector": ["rows", 64]}),
    "ranker": ({"user": [1, 69], "items": ["rows", 68], "cross": ["rows", 3]}, {"scores": ["rows", 3]}),
}

SHAPES["first_phase"] = SHAPES["ranker"]


def settings(folder: Path) -> config.Config:
    """Returns a configuration that takes a second or two."""
    path = folder / "small.toml"
    path.write_text("[towers]\nepochs = 4\nbatch = 64\nhidden = 32\ncandidates = 60\n"
                    "[ranker]\nepochs = 4\nbatch = 8\npatience = 4\n")
    return config.load(path)


def curve(out: Path, job: str) -> list[float]:
    with (out / f"curves-{job}.csv").open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


class Jobs(unittest.TestCase):
    """Runs in a fresh folder; `rows` and `models` are its two directories."""

    def setUp(self) -> None:
        torch.set_num_threads(1)
        keeper = tempfile.TemporaryDirectory()
        self.addCleanup(keeper.cleanup)
        self.folder = Path(keeper.name)
        self.config = settings(self.folder)
        make_rows.tower_rows(self.folder / "rows")

    def args(self, models: str = "models") -> argparse.Namespace:
        (self.folder / models).mkdir(exist_ok=True)
        return argparse.Namespace(rows=self.folder / "rows", out=self.folder / models, seed=1)

    def assert_exported(self, out: Path, name: str) -> None:
        """Names, shapes, dynamic axes and parity of one file."""
        graph = onnx.load(out / f"{name}.onnx", load_external_data=False).graph
        shape = lambda v: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]  # noqa: E731
        inputs, outputs = SHAPES[name]
        self.assertEqual({v.name: shape(v) for v in graph.input}, inputs)
        self.assertEqual({v.name: shape(v) for v in graph.output}, outputs)
        self.assertFalse(any(t.external_data for t in graph.initializer))
        entry = json.loads((out / "parity.json").read_text())[name]
        kinds = {"track": np.int64, "artist": np.int64, "genre": np.int64}
        feed = {k: np.array(v["data"], kinds.get(k, np.float32)).reshape(v["shape"]) for k, v in entry["inputs"].items()}
        got = onnxruntime.InferenceSession(out / f"{name}.onnx").run(None, feed)[0]
        (expected,) = entry["outputs"].values()
        np.testing.assert_allclose(got, np.array(expected["data"]).reshape(expected["shape"]), atol=1e-5)

    def test_towers_learn_and_export(self) -> None:
        args = self.args()
        towers.run(args, self.config)
        losses = curve(args.out, "towers")
        self.assertLess(losses[-1], losses[0])
        for name in ("user_tower", "item_tower"):
            self.assert_exported(args.out, name)
        facts = json.loads((args.out / "training.json").read_text())
        self.assertGreater(facts["towers_recall_at_20"], 0.3)
        self.assertFalse((args.out / "towers.checkpoint").exists())

    def test_empty_history_gives_a_unit_vector(self) -> None:
        args = self.args()
        towers.run(args, self.config)
        session = onnxruntime.InferenceSession(args.out / "user_tower.onnx")
        feed = {"history_vectors": np.zeros((1, 8, 64), np.float32), "history_signals": np.zeros((1, 8, 6), np.float32),
                "user": np.zeros((1, 5), np.float32)}
        self.assertAlmostEqual(float(np.linalg.norm(session.run(None, feed)[0])), 1.0, places=4)

    def test_an_unplayed_track_is_placed_by_its_metadata(self) -> None:
        path = self.folder / "rows" / "items.parquet"
        table = pq.read_table(path)
        plays = [0, *table["plays"].to_pylist()[1:]]
        pq.write_table(table.set_column(table.schema.get_field_index("plays"), "plays", pa.array(plays, pa.int64())), path)
        args = self.args()
        towers.run(args, self.config)
        session = onnxruntime.InferenceSession(args.out / "item_tower.onnx")
        feed = {"item": np.ones((3, 4), np.float32), "track": np.array([0, 1, 2]), "artist": np.ones(3, np.int64),
                "genre": np.ones(3, np.int64)}
        unknown, unplayed, played = session.run(None, feed)[0]
        np.testing.assert_allclose(unplayed, unknown, atol=1e-6)
        self.assertGreater(float(np.abs(played - unknown).max()), 1e-3)

    def test_an_interrupted_run_ends_the_same(self) -> None:
        straight, resumed = self.args("straight"), self.args("resumed")
        towers.run(straight, self.config)
        with mock.patch.object(fit, "_save", side_effect=_stop_after(fit._save, 2)), self.assertRaises(KeyboardInterrupt):
            towers.run(resumed, self.config)
        towers.run(resumed, self.config)
        self.assertEqual((straight.out / "parity.json").read_text(), (resumed.out / "parity.json").read_text())

    def test_ranker_learns_without_skips(self) -> None:
        make_rows.ranker_rows(self.folder / "rows")
        args = self.args()
        ranker.run(args, self.config)
        losses = curve(args.out, "ranker")
        self.assertLess(losses[-1], losses[0])
        self.assert_exported(args.out, "ranker")
        facts = json.loads((args.out / "training.json").read_text())
        self.assertEqual(facts["ranker_skip_positives"], 0)
        self.assertNotIn("ranker_skip_auc", facts)
        self.assertGreater(facts["ranker_ndcg_at_20"], 0.6)
        scores = json.loads((args.out / "parity.json").read_text())["ranker"]["outputs"]["scores"]["data"]
        self.assertTrue(all(0 <= s <= 1 for s in scores))
        self.assertLess(max(scores[1::3]), 0.3)

    def test_the_first_phase_stands_beside_the_ranker(self) -> None:
        make_rows.ranker_rows(self.folder / "rows", skips=True)
        args = self.args()
        ranker.run(args, self.config)
        first_phase.run(args, self.config)
        self.assert_exported(args.out, "ranker")
        self.assert_exported(args.out, "first_phase")
        facts = json.loads((args.out / "training.json").read_text())
        self.assertGreater(facts["first_phase_ndcg_at_20"], 0.6)
        self.assertGreater(facts["ranker_ndcg_at_20"], 0.6)
        self.assertIn("## First phase", (args.out / "model_card.md").read_text())

    def test_ranker_learns_skips(self) -> None:
        make_rows.ranker_rows(self.folder / "rows", skips=True)
        args = self.args()
        ranker.run(args, self.config)
        self.assertIn("ranker_skip_auc", json.loads((args.out / "training.json").read_text()))

    def test_a_ranker_is_trained_on_from_another(self) -> None:
        make_rows.ranker_rows(self.folder / "rows", skips=True)
        first, on = self.args("first"), self.args("on")
        ranker.run(first, self.config)
        feed = {name: torch.randn(shape) for name, shape in (("user", (1, 69)), ("items", (7, 68)), ("cross", (7, 3)))}
        seen = []
        evaluate = ranker.RankerJob.evaluate

        def before(job):
            seen.append(job.model(**feed).numpy())
            return evaluate(job)

        on.start = first.out
        with mock.patch.object(ranker.RankerJob, "evaluate", before):
            ranker.run(on, self.config)
        session = onnxruntime.InferenceSession(first.out / "ranker.onnx")
        np.testing.assert_allclose(seen[0], session.run(None, {k: v.numpy() for k, v in feed.items()})[0], atol=1e-5)
        self.assertGreater(float(np.abs(seen[-1] - seen[0]).max()), 1e-4)
        facts, start = (json.loads((a.out / "training.json").read_text()) for a in (on, first))
        self.assertEqual(len(facts["ranker_start"]), 64)
        self.assertAlmostEqual(facts["ranker_start_ndcg_at_20"], start["ranker_ndcg_at_20"], places=3)
        self.assertGreaterEqual(facts["ranker_ndcg_at_20"], facts["ranker_start_ndcg_at_20"] - 0.05)

    def test_a_ranker_of_other_sizes_is_refused(self) -> None:
        make_rows.ranker_rows(self.folder / "rows")
        first, on = self.args("first"), self.args("on")
        ranker.run(first, self.config)
        (self.folder / "wide.toml").write_text("[ranker]\nshared = 64\n")
        on.start = first.out
        with self.assertRaisesRegex(ValueError, "from_user.weight .* other sizes"):
            ranker.run(on, config.load(self.folder / "wide.toml"))
        onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [])), first.out / "ranker.onnx")
        with self.assertRaisesRegex(ValueError, "no float32 ranker"):
            ranker.run(on, self.config)

    def test_ablation_compares_every_design(self) -> None:
        make_rows.ranker_rows(self.folder / "rows", skips=True)
        args = self.args()
        ablation.run(args, self.config)
        lines = (args.out / "ablation.md").read_text().splitlines()[2:]
        names = [line.split("|")[1].strip() for line in lines]
        self.assertEqual(names, ["single task, complete", "single task, skip", "single task, like", "shared bottom",
                                 "MMoE", "MMoE, weights by uncertainty"])
        cells = {name: [cell.strip() for cell in line.split("|")[2:-1]] for name, line in zip(names, lines)}
        self.assertEqual([bool(cell) for cell in cells["single task, skip"]], [False] * 4 + [True] * 3 + [False] * 3)
        self.assertGreater(float(cells["MMoE"][1]), 0.6)
        self.assertNotEqual(cells["MMoE"], cells["MMoE, weights by uncertainty"])
        self.assertTrue((args.out / "gates-mmoe.svg").exists())

    def test_a_loss_that_is_no_number_names_the_batch(self) -> None:
        make_rows.ranker_rows(self.folder / "rows")
        args, loss = self.args(), ranker.RankerJob.loss
        calls = []

        def broken(job, batch):
            calls.append(1)
            return loss(job, batch) * (float("nan") if len(calls) == 2 else 1.0)

        with mock.patch.object(ranker.RankerJob, "loss", broken), self.assertRaises(ArithmeticError) as caught:
            ranker.run(args, self.config)
        self.assertIn("batch 2 of", str(caught.exception))
        self.assertFalse((args.out / "ranker.onnx").exists())


def _stop_after(save, epochs: int):
    """Returns a `_save` that raises after that many epochs are on disk."""
    calls = []

    def wrapped(*args) -> None:
        save(*args)
        calls.append(1)
        if len(calls) == epochs:
            raise KeyboardInterrupt

    return wrapped


if __name__ == "__main__":
    unittest.main()
