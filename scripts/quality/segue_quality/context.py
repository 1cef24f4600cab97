"""Protocol B: will this listener like this track in this situation, and how will the mood change (SiTunes)."""

import argparse

import numpy as np
import torch
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from . import situnes, tasks
from .report import Rows
from .situnes import Part, SiTunes, scaled

METRICS = ["AUC S2", "AUC S3", "mood S2", "mood S3", "AUC S2 without", "AUC S3 without"]
# The paper's best models; the mood's accuracy is that of its best classifier and inputs.
PUBLISHED = {
    "FM": {"AUC S2": 0.8188},
    "Wide&Deep": {"AUC S3": 0.7104},
    "AutoInt": {"AUC S2 without": 0.7222},
    "DCN V2": {"AUC S3 without": 0.5598},
    "best mood classifier": {"mood S2": 0.572, "mood S3": 0.541},
}
WITHOUT = ("who", "track", "audio")
WITH = (*WITHOUT, "situation")
FELT = (*WITH, "feeling")
TREES = 500
DESIGNS = {"single task, liked": tasks.SINGLE_LIKED, "single task, mood": tasks.SINGLE_MOOD,
           "shared bottom": tasks.SHARED_BOTTOM, "MMoE": tasks.MMOE}
Answers = dict[str, tuple[np.ndarray | None, np.ndarray | None]]  # by setting: log-odds of liked, chances of the moods


class Trial:
    """One of the authors' splits. Both settings train on the same rows, so a model is fitted once, tested twice."""

    def __init__(self, data: SiTunes, split: int, seeds: list[int], rows: Rows) -> None:
        self.split, self.seeds, self.rows = split, seeds, rows
        self.train = data.part(2, split, "train")
        self.tests = {"S2": data.part(2, split, "test"), "S3": data.part(3, split, "test")}

    def run(self) -> None:
        """Fits everything and notes its figures."""
        linear = self.classic("baseline", "logistic regression, C = 1", lambda: LogisticRegression(max_iter=1000))
        trees = self.classic("baseline", "extremely randomised trees", lambda: ExtraTreesClassifier(
            TREES, min_samples_leaf=2, random_state=self.split))
        for name, shape in DESIGNS.items():
            experts = self.networks(shape)
            self.note("ours" if name == "MMoE" else "ablation", name, experts)
        self.note("ablation", "linear + trees", _mean(linear, trees))
        self.note("ablation", "linear + MMoE", _mean(linear, experts))
        self.note("ours", "linear + trees + MMoE", _mean(linear, trees, experts))

    def note(self, kind: str, name: str, answers: Answers, suffix: str = "") -> None:
        """Measures `answers` on the tests of both settings."""
        found = {}
        for setting, (liked, mood) in answers.items():
            test = self.tests[setting]
            if liked is not None:
                found[f"AUC {setting}{suffix}"] = float(roc_auc_score(test.liked, liked))
            if mood is not None:
                found[f"mood {setting}"] = float((mood.argmax(1) == test.mood).mean())
        self.rows.add(kind, name, found)

    def classic(self, kind: str, name: str, make) -> Answers:
        """A classifier a task; `make` gives a fresh one. The inputs without the situation are measured too."""
        def fitted(inputs: tuple[str, ...], label: np.ndarray) -> dict[str, np.ndarray]:
            model = make().fit(scaled(self.train, self.train, inputs), label)
            return {setting: _chances(model, scaled(test, self.train, inputs)) for setting, test in self.tests.items()}

        liked, mood = fitted(WITH, self.train.liked), fitted(FELT, self.train.mood)
        answers = {setting: (_log_odds(liked[setting][:, 1]), mood[setting]) for setting in self.tests}
        self.note(kind, name, answers)
        without = fitted(WITHOUT, self.train.liked)
        self.note(kind, name, {setting: (without[setting][:, 1], None) for setting in self.tests}, " without")
        return answers

    def networks(self, shape: tasks.Shape) -> Answers:
        """The mean answer of one network a seed; a task that was not learned has none."""
        liked, mood = torch.tensor(self.train.liked, dtype=torch.float32), torch.tensor(self.train.mood)
        inputs = self._inputs(self.train)
        networks = [tasks.fit(shape, inputs, liked, mood, 1000 * self.split + seed) for seed in self.seeds]
        answers = {}
        for setting, test in self.tests.items():
            likes, moods = tasks.predict(networks, self._inputs(test))
            answers[setting] = (likes if shape.liked else None, moods if shape.mood else None)
        return answers

    def _inputs(self, part: Part) -> tasks.Inputs:
        blocks = [scaled(part, self.train, names) for names in (("who",), ("track", "audio"), ("situation",))]
        return tasks.Inputs(*(torch.tensor(x, dtype=torch.float32) for x in (*blocks, part.feeling)))


def _chances(model, x: np.ndarray) -> np.ndarray:
    """Returns the chance of each label [N, 3]; one that train does not hold has none."""
    chances = np.zeros((len(x), tasks.MOODS))
    chances[:, model.classes_] = model.predict_proba(x)
    return chances


def _log_odds(chance: np.ndarray) -> np.ndarray:
    chance = chance.clip(1e-3, 1 - 1e-3)
    return np.log(chance / (1 - chance))


def _mean(*models: Answers) -> Answers:
    """The mean log-odds and the mean chances: nothing is fitted."""
    return {setting: tuple(np.mean(column, axis=0) for column in zip(*(model[setting] for model in models)))
            for setting in models[0]}


def run(args: argparse.Namespace) -> Rows:
    """Runs the ten splits."""
    data = SiTunes(args.data)
    rows = Rows(PUBLISHED)
    print(f"context: splits {situnes.SPLITS[0]}..{situnes.SPLITS[-1]}, seeds of the networks {args.seeds}", flush=True)
    for split in tqdm(situnes.SPLITS, desc="context", disable=None):
        Trial(data, split, args.seeds, rows).run()
    return rows
