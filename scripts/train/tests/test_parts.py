"""The parts that have a naive twin or a boundary."""

import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from segue_train import calibrate, config, item_tower, metrics, mmoe, sampled_softmax  # noqa: E402
from segue_train.__main__ import parser  # noqa: E402
from segue_train.pipeline import steps  # noqa: E402


class Metrics(unittest.TestCase):
    def test_auc_equals_the_pair_count(self) -> None:
        rng = np.random.default_rng(0)
        score, label = rng.integers(0, 9, 200).astype(float), rng.random(200) < 0.4
        pairs = score[label][:, None] - score[~label][None]
        self.assertAlmostEqual(metrics.auc(score, label), ((pairs > 0) + 0.5 * (pairs == 0)).mean())

    def test_auc_needs_both_classes(self) -> None:
        self.assertIsNone(metrics.auc(np.ones(3), np.zeros(3)))

    def test_ranks(self) -> None:
        scores = torch.tensor([[0.1, 0.9, 0.5], [0.3, 0.2, 0.1]])
        self.assertEqual(metrics.ranks(scores, torch.tensor([2, 0])).tolist(), [2, 1])

    def test_group_ndcg(self) -> None:
        scores = torch.tensor([[3.0, 2.0, -torch.inf], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
        relevant = torch.tensor([[False, True, False], [False, False, True], [False, False, False]])
        self.assertAlmostEqual(metrics.group_ndcg(scores, relevant, 20), (1 / np.log2(3) + 1) / 2, places=5)

    def test_calibration_error_of_a_constant(self) -> None:
        self.assertAlmostEqual(metrics.calibration_error(np.full(100, 0.7), np.r_[np.ones(50), np.zeros(50)][::-1],
                                                         bins=1), 0.2)


class Softmax(unittest.TestCase):
    def test_candidates_hold_the_targets_once(self) -> None:
        sampler = sampled_softmax.CandidateSampler(torch.ones(1000), 50)
        target = torch.tensor([5, 5, 999])
        drawn = sampler.draw(target)
        self.assertTrue(set(target.tolist()) <= set(drawn.tolist()))
        self.assertEqual(len(drawn), len(drawn.unique()))

    def test_inclusion_matches_what_is_drawn(self) -> None:
        torch.manual_seed(0)
        plays = torch.arange(1.0, 21.0)
        sampler = sampled_softmax.CandidateSampler(plays, 5)
        seen = torch.zeros(20)
        for _ in range(4000):
            seen[sampler.draw(torch.multinomial(plays, 4, replacement=True))] += 1
        expected = sampler.log_inclusion(torch.arange(20), 4).exp()
        torch.testing.assert_close(seen / 4000, expected, atol=0.03, rtol=0)

    def test_full_catalogue_is_the_exact_softmax(self) -> None:
        sampler = sampled_softmax.CandidateSampler(torch.ones(7), 100)
        self.assertEqual(sampler.draw(torch.tensor([3])).tolist(), list(range(7)))
        self.assertEqual(float(sampler.log_inclusion(torch.arange(7), 1).abs().max()), 0.0)

    def test_hard_negatives_are_further_columns(self) -> None:
        logits, hard, target = torch.randn(4, 7), torch.randn(4, 2), torch.tensor([0, 3, 3, 6])
        hard[1] = sampled_softmax.NEVER
        hard.requires_grad_()
        found = sampled_softmax.loss(logits, target, hard)
        expected = torch.nn.functional.cross_entropy(torch.cat([logits, hard], 1), target)
        torch.testing.assert_close(found, expected)
        found.backward()
        self.assertTrue(bool(hard.grad.isfinite().all()))


class Tables(unittest.TestCase):
    def test_only_what_was_played_has_a_row_of_its_own(self) -> None:
        plays = torch.from_numpy(np.random.default_rng(1).integers(0, 4, 50)).float()
        rows, played = item_tower.table_rows(plays, 2), np.flatnonzero(plays >= 2)
        self.assertEqual(rows[0], 0)
        for track in range(50):
            expected = 1 + int((played < track).sum()) if plays[track] >= 2 else 0
            self.assertEqual(int(rows[track + 1]), expected)
        self.assertEqual(item_tower.table_rows(torch.zeros(3), 1).tolist(), [0, 0, 0, 0])


class Gates(unittest.TestCase):
    def test_expert_use_is_the_mean_of_the_softmax(self) -> None:
        torch.manual_seed(0)
        plain = lambda width: mmoe.Standardise(torch.zeros(width), torch.ones(width))  # noqa: E731
        model = mmoe.Ranker(config.load().ranker, plain(3), plain(4), plain(2), 3).eval()
        user, items, cross = torch.randn(9, 3), torch.randn(9, 4), torch.randn(9, 2)
        use = model.expert_use(user, items, cross)
        torch.testing.assert_close(use.sum(1), torch.ones(3))
        with torch.no_grad():
            model.gates.weight.zero_()
            model.gates.bias.zero_()
            model.gates.bias[5] = 20.0  # task 1 to expert 1
        use = model.expert_use(user, items, cross)
        torch.testing.assert_close(use[0], torch.full((4,), 0.25))
        torch.testing.assert_close(use[1], torch.tensor([0.0, 1.0, 0.0, 0.0]), atol=1e-6, rtol=0)


class Settings(unittest.TestCase):
    def test_platt_recovers_a_known_distortion(self) -> None:
        torch.manual_seed(0)
        true = torch.randn(20000) * 2
        label = torch.bernoulli(torch.sigmoid(true))
        slope, offset = calibrate.platt((true - 1) / 0.5, label)
        self.assertAlmostEqual(slope, 0.5, delta=0.05)
        self.assertAlmostEqual(offset, 1.0, delta=0.1)

    def test_platt_without_positives_changes_nothing(self) -> None:
        self.assertEqual(calibrate.platt(torch.randn(50), torch.zeros(50)), (1.0, 0.0))

    def test_unknown_keys_are_all_named(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "c.toml"
            path.write_text("[towers]\nepoch = 3\nbatch = 'x'\n[tower]\n")
            with self.assertRaises(ValueError) as caught:
                config.load(path)
        for part in ("[tower] is no section", "`epoch`", "batch must be int"):
            self.assertIn(part, str(caught.exception))

    def test_all_runs_its_steps_in_order(self) -> None:
        args = parser().parse_args(["all", "--data", "d", "--out", "b", "--segue", "s", "--work", "w"])
        commands = [step[1][1:3] for step in steps(args, config.load()) if isinstance(step[1], list)]
        self.assertEqual(commands, [["backfill", "towers"], ["bundle", "build"], ["backfill", "ranker"], ["bundle", "build"]])


if __name__ == "__main__":
    unittest.main()
