"""Protocol B: what is read, what must not leak, and the whole job on a small made-up study."""

import argparse
import sys
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent / "train")]

from segue_quality import context, situnes, tasks  # noqa: E402


def write(folder: Path, splits: range) -> None:
    """Writes a study in which energetic tracks are liked, and more so in the morning."""
    rng = np.random.default_rng(5)
    names = ["item_id", *situnes.AUDIO, *situnes.KINDS]
    energy = rng.random(40)
    tracks = [[f"{7 * row}.0", *[str(energy[row] if name == "energy" else rng.random()) for name in situnes.AUDIO],
               str(row % 5), str(row % 3)] for row in range(40)]
    tracks[0][1] = ""  # popularity of the first track is not known
    (folder / "SiTunes" / "music_metadata").mkdir(parents=True)
    (folder / "SiTunes" / "music_metadata" / "music_info.csv").write_text(
        "\n".join(",".join(line) for line in [names, *tracks]) + "\n")
    for setting in (2, 3):
        for split in splits:
            stem = folder / "splits" / f"setting{setting}-{split}" / f"setting{setting}-{split}"
            stem.parent.mkdir(parents=True)
            for name, count in (("train", 150), ("valid", 20), ("test", 60)):
                lines = ["\t".join(["header"] * 32)]
                for _ in range(count):
                    row, morning, felt = rng.integers(40), rng.integers(2), rng.normal(size=2) / 4
                    rating = 5 if energy[row] + 0.5 * morning > 0.75 else 1
                    after = [felt[0] + 0.3 * (rating - 3), 0.0]
                    lines.append("\t".join(map(str, [rng.integers(1, 31), 7 * row, rating, morning, 1 - morning,
                                                     *rng.random(22), 1.6e9, *felt, *after])))
                Path(f"{stem}.{name}.inter").write_text("\n".join(lines) + "\n")


class Context(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name)
        write(self.path, range(101, 103))
        self.train = situnes.SiTunes(self.path).part(2, 101, "train")

    def inputs(self) -> tasks.Inputs:
        trial = context.Trial(situnes.SiTunes(self.path), 101, [1], context.Rows({}))
        return trial._inputs(self.train)

    def test_columns_land_where_they_belong(self) -> None:
        rows = [line.split("\t") for line in
                (self.path / "splits/setting2-101/setting2-101.train.inter").read_text().splitlines()[1:]]
        for at, row in enumerate(rows):
            self.assertEqual(self.train.who[at].argmax() + 1, int(row[0]))
            self.assertEqual(7 * self.train.track[at, :40].argmax(), int(row[1]))
            self.assertEqual(self.train.liked[at], int(row[2] == "5"))
            np.testing.assert_allclose(self.train.situation[at], [float(cell) for cell in row[3:27]])
            np.testing.assert_allclose(self.train.feeling[at], [float(row[28]), float(row[29])])
            change = float(row[30]) - float(row[28])
            self.assertEqual(self.train.mood[at], 2 if change > 0.125 else 0 if change <= -0.125 else 1)
        self.assertTrue(np.isfinite(self.train.audio).all())

    def test_scaling_is_of_train_and_drops_what_never_varies(self) -> None:
        train = replace(self.train, audio=np.array([[1.0, 5.0, 0.0], [3.0, 5.0, 1.0]]))
        test = replace(self.train, audio=np.array([[5.0, 9.0, 0.5]]))
        np.testing.assert_allclose(situnes.scaled(test, train, ("audio",)), [[2.0, 0.5]])

    def test_feelings_reach_the_mood_alone(self) -> None:
        inputs = self.inputs()
        torch.manual_seed(0)
        network = tasks.Network(tasks.MMOE, inputs).eval()
        liked, mood = network(inputs)
        other_liked, other_mood = network(replace(inputs, feeling=inputs.feeling + 1))
        self.assertTrue(torch.equal(liked, other_liked))
        self.assertFalse(torch.allclose(mood, other_mood))

    def test_a_task_that_is_not_learned_gets_no_gradient(self) -> None:
        inputs = self.inputs()
        liked, mood = torch.tensor(self.train.liked, dtype=torch.float32), torch.tensor(self.train.mood)
        alone = tasks.fit(tasks.SINGLE_LIKED, inputs, liked, mood, 1)
        other = tasks.fit(tasks.SINGLE_LIKED, inputs, liked, mood.flip(0), 1)
        for one, two in zip(alone.parameters(), other.parameters()):
            self.assertTrue(torch.equal(one, two))

    def test_the_job_learns_the_rule_and_repeats_itself(self) -> None:
        args = argparse.Namespace(data=self.path, seeds=[1, 2])
        with mock.patch.object(situnes, "SPLITS", range(101, 103)), mock.patch.object(context, "TREES", 10):
            rows, again = context.run(args), context.run(args)
        self.assertEqual({n: r.runs for n, r in rows.rows.items()}, {n: r.runs for n, r in again.rows.items()})
        runs = rows.rows["MMoE"].runs
        self.assertEqual([len(runs[name]) for name in context.METRICS[:4]], [2] * 4)
        self.assertGreater(min(runs["AUC S2"] + runs["AUC S3"]), 0.75)
        self.assertNotIn("mood S2", rows.rows["single task, liked"].runs)


if __name__ == "__main__":
    unittest.main()
