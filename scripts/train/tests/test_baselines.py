"""ALS folded in by a graph against the library's own, logistic regression, precision, the card."""

import argparse
import json
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import scipy.sparse as sparse
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import make_rows  # noqa: E402
from test_jobs import curve, settings  # noqa: E402
from segue_train import als, card, intervals, logistic, metrics, precision, ranker  # noqa: E402


class Intervals(unittest.TestCase):
    def test_weighted_auc_counts_repeated_rows(self) -> None:
        rng = np.random.default_rng(0)
        score, label, weight = rng.integers(0, 6, 80), rng.random(80) < 0.4, rng.integers(0, 4, 80)
        _, tie = np.unique(score, return_inverse=True)
        self.assertAlmostEqual(intervals.weighted_auc(tie, label, weight),
                               metrics.auc(np.repeat(score, weight), np.repeat(label, weight)))
        self.assertIsNone(intervals.weighted_auc(tie, np.zeros(80), weight))

    def test_interval_of_a_mean_is_the_normal_one(self) -> None:
        values = np.random.default_rng(1).normal(3.0, 2.0, 400)
        low, high = intervals.mean(values, 1)
        half = 1.96 * values.std() / 20
        self.assertAlmostEqual(low, values.mean() - half, delta=0.06)
        self.assertAlmostEqual(high, values.mean() + half, delta=0.06)


class Als(unittest.TestCase):
    def test_fold_in_is_the_solution_of_the_normal_equations(self) -> None:
        rng = np.random.default_rng(2)
        y = rng.normal(size=(30, 7)).astype(np.float32)
        tower = als.FoldIn(torch.from_numpy(y), 1.0, 4.0, 0.5, 0)
        history, confidence = np.array([[3, 8, 8, 21], [5, 0, 0, 0]]), np.array([[4, 2, 1, 0], [4, 0, 0, 0]], np.float32)
        found = tower.solve(torch.from_numpy(y[history]), torch.from_numpy(confidence)).numpy()
        for row in range(2):
            matrix, wanted = y.T @ y + 0.5 * np.eye(7), np.zeros(7)
            for track, c in zip(history[row], confidence[row]):
                matrix = matrix + c * np.outer(y[track], y[track])
                wanted = wanted + (1 + c) * y[track] * (c > 0)
            np.testing.assert_allclose(found[row], np.linalg.solve(matrix, wanted), atol=1e-4)

    def test_fold_in_gives_the_order_of_the_library(self) -> None:
        rng = np.random.default_rng(3)
        plays = sparse.csr_matrix((rng.random((60, 40)) < 0.15).astype(np.float32))
        confidence = plays.copy()
        confidence.data = 1 + 4 * confidence.data
        model = als.implicit.als.AlternatingLeastSquares(factors=7, alpha=1.0, regularization=0.5, random_state=1,
                                                         use_gpu=False, num_threads=1)
        model.fit(confidence, show_progress=False)
        schema = argparse.Namespace(signals=["valid", "signal"])
        towers = als.Als(model.item_factors, 4.0, 0.5, schema)
        table = towers.item.table
        torch.testing.assert_close(table.norm(dim=1), torch.ones(41))
        user = int(plays.getnnz(1).argmax())
        history = torch.from_numpy(plays[user].indices.astype(np.int64)) + 1
        signals = torch.ones(1, len(history), 2)
        vector = towers.user(table[history].unsqueeze(0), signals, torch.zeros(1, 1))[0]
        self.assertAlmostEqual(float(vector.norm()), 1.0, places=5)
        expected = model.item_factors @ model.recalculate_user(0, confidence[user])
        self.assertEqual((table[1:] @ vector).argsort(descending=True)[:10].tolist(), np.argsort(-expected)[:10].tolist())

    def test_an_empty_history_still_gives_a_unit_vector(self) -> None:
        tower = als.FoldIn(torch.randn(9, 3, generator=torch.Generator().manual_seed(0)), 1.0, 4.0, 0.5, 1)
        vector = tower(torch.zeros(2, 5, 4), torch.zeros(2, 5, 2), torch.zeros(2, 1))
        torch.testing.assert_close(vector.norm(dim=1), torch.ones(2))


class Jobs(unittest.TestCase):
    def setUp(self) -> None:
        torch.set_num_threads(1)
        keeper = tempfile.TemporaryDirectory()
        self.addCleanup(keeper.cleanup)
        self.folder = Path(keeper.name)
        self.out = self.folder / "models"
        self.out.mkdir()
        self.args = argparse.Namespace(rows=self.folder / "rows", out=self.out, seed=1)
        self.config = settings(self.folder)
        make_rows.tower_rows(self.folder / "rows", rows=600)
        make_rows.ranker_rows(self.folder / "rows", skips=True)

    def test_als_and_logistic_regression_are_models_of_one_directory(self) -> None:
        als.run(self.args, self.config)
        logistic.run(self.args, self.config)
        losses = curve(self.out, "ranker")
        self.assertLess(losses[-1], losses[0])
        facts = json.loads((self.out / "training.json").read_text())
        self.assertEqual(facts["towers_design"], "ALS")
        self.assertGreater(facts["ranker_ndcg_at_20"], 0.6)
        self.assertLessEqual(facts["ranker_ndcg_at_20_low"], facts["ranker_ndcg_at_20"])
        self.assertGreaterEqual(facts["ranker_ndcg_at_20_high"], facts["ranker_ndcg_at_20"])
        session = onnxruntime.InferenceSession(self.out / "item_tower.onnx")
        self.assertEqual([value.name for value in session.get_inputs()], ["item", "track", "artist", "genre"])
        session = onnxruntime.InferenceSession(self.out / "user_tower.onnx")
        self.assertEqual([value.name for value in session.get_inputs()], ["history_vectors", "history_signals", "user"])

    def test_precisions_keep_tensors_and_nearly_the_scores(self) -> None:
        ranker.run(self.args, self.config)
        before = onnxruntime.InferenceSession(self.out / "ranker.onnx")
        plain = {(v.name, v.type, tuple(v.shape)) for v in [*before.get_inputs(), *before.get_outputs()]}
        # Most difference of a score; that of 8 bits is bounded where theory bounds it, at the weights.
        bounds = {"fp32": 0.0, "fp16": 0.01, "int8": np.inf}
        for name, most in bounds.items():
            out = self.folder / name
            out.mkdir()
            args = argparse.Namespace(rows=self.args.rows, models=self.out, out=out, precision=name, seed=1)
            precision.run(args, self.config)
            after = onnxruntime.InferenceSession(out / "ranker.onnx")
            self.assertEqual({(v.name, v.type, tuple(v.shape)) for v in [*after.get_inputs(), *after.get_outputs()]}, plain)
            facts = json.loads((out / "training.json").read_text())
            self.assertLessEqual(facts["ranker_precision_max_difference"], most)
            self.assertEqual(facts["ranker_precision_max_difference"] > 0, name != "fp32")
            self.assertEqual(self.quantised(self.out / "ranker.onnx", out / "ranker.onnx") > 0, name == "int8")
            parity = json.loads((out / "parity.json").read_text())["ranker"]
            feed = {k: np.array(v["data"], np.float32).reshape(v["shape"]) for k, v in parity["inputs"].items()}
            np.testing.assert_allclose(after.run(None, feed)[0].ravel(), parity["outputs"]["scores"]["data"], atol=1e-6)
            self.assertIn(f"precision: {name}", (out / card.NAME).read_text())

    def quantised(self, plain: Path, converted: Path) -> int:
        """Returns how many matrices of `converted` hold 8-bit weights; each must be within half a step of `plain`'s."""
        def tensors(path: Path) -> dict[str, np.ndarray]:
            return {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
        before, after = tensors(plain), tensors(converted)
        names = [name.removesuffix("_quantized") for name in after if name.endswith("_quantized")]
        for name in names:
            step, zero = after[f"{name}_scale"].astype(np.float64), after[f"{name}_zero_point"].astype(np.float64)
            weights = (after[f"{name}_quantized"].astype(np.float64) - zero) * step
            turned = name.endswith("_Transposed")  # the weights of a Gemm
            exact = before[name.removesuffix("_Transposed")].T if turned else before[name]
            self.assertTrue((np.abs(weights - exact) <= step * 0.501).all(), name)
        return len(names)

    def test_the_card_tells_window_counts_intervals_schema_and_tensors(self) -> None:
        ranker.run(self.args, self.config)
        text = (self.out / card.NAME).read_text()
        facts = json.loads((self.out / "training.json").read_text())
        for part in ("Data: 1970-01-01 00:00 to 1970-01-01 00:02 (UTC).", "- seed: 1", "- train groups: 120",
                     f"| ndcg_at_20 | {facts['ranker_ndcg_at_20']:.4f} | {facts['ranker_ndcg_at_20_low']:.4f} to ",
                     "Version 2, history of 8 plays", "cross (3): user_similarity, x1, x2",
                     "| ranker | 18 | user f32[1, 69], items f32[\\*, 68], cross f32[\\*, 3] | scores f32[\\*, 3] |",
                     f"git revision `{card.revision()}`"):
            self.assertIn(part, text)


if __name__ == "__main__":
    unittest.main()
