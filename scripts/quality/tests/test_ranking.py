"""Ranking metrics against `ranx`: ours, and those of `segue eval` as src/evaluate/ranking.rs states them."""

import sys
import unittest
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from ranx import Qrels, Run, evaluate

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from segue_quality import ranking  # noqa: E402


def reference(scores: np.ndarray, wanted: np.ndarray, names: list[str]) -> dict[str, float]:
    """Returns what `ranx` makes of dense `scores` and bool `wanted`, both [m, n]."""
    qrels = Qrels({f"q{row}": {f"d{at}": 1 for at in np.flatnonzero(line)} for row, line in enumerate(wanted)})
    run = Run({f"q{row}": {f"d{at}": float(line[at]) for at in np.flatnonzero(np.isfinite(line))}
               for row, line in enumerate(scores)})
    return evaluate(qrels, run, names)


class Ranking(unittest.TestCase):
    def test_recall_and_ndcg_equal_ranx(self) -> None:
        rng = np.random.default_rng(0)
        for k in (1, 5, 10):
            scores = rng.permuted(np.arange(40.0)[None].repeat(30, 0), axis=1).astype(np.float32)
            seen = rng.random(scores.shape) < 0.2
            wanted = (rng.random(scores.shape) < rng.uniform(0.02, 0.5, (30, 1))) & ~seen
            wanted[:, 0] |= ~wanted.any(1)
            seen[:, 0] = False
            ours = ranking.measure(scores, sp.csr_matrix(wanted), sp.csr_matrix(seen), k)
            theirs = reference(np.where(seen, -np.inf, scores), wanted, [f"recall@{k}", f"ndcg@{k}"])
            for name, value in ours.items():
                self.assertAlmostEqual(value, theirs[name], places=6)

    def test_listeners_without_a_target_do_not_count(self) -> None:
        scores = np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]], dtype=np.float32)
        wanted = sp.csr_matrix(np.array([[1, 0, 0], [0, 0, 0]]))
        found = ranking.measure(scores, wanted, sp.csr_matrix((2, 3)), 1)
        self.assertEqual(found, {"recall@1": 1.0, "ndcg@1": 1.0})

    def test_single_target_metrics_equal_ranx(self) -> None:
        """`segue eval` ranks one wanted track a list: hit rate, 1 / place and 1 / log2(place + 1) among the first k."""
        rng = np.random.default_rng(1)
        scores = rng.permuted(np.arange(50.0)[None].repeat(60, 0), axis=1)
        target = rng.integers(0, 50, 60)
        wanted = np.arange(50) == target[:, None]
        place = 1 + (scores > scores[np.arange(60), target][:, None]).sum(1)
        theirs = reference(scores, wanted, ["hit_rate@20", "recall@20", "mrr@20", "ndcg@20"])
        within = place <= 20
        self.assertAlmostEqual(theirs["hit_rate@20"], within.mean(), places=9)
        self.assertAlmostEqual(theirs["recall@20"], within.mean(), places=9)
        self.assertAlmostEqual(theirs["mrr@20"], (within / place).mean(), places=9)
        self.assertAlmostEqual(theirs["ndcg@20"], (within / np.log2(place + 1)).mean(), places=9)


if __name__ == "__main__":
    unittest.main()
