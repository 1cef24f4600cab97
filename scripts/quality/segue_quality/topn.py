"""Protocol A: the artists that a listener has not been seen with, ranked over the whole catalogue (HetRec Last.fm)."""

import argparse
import itertools

import numpy as np
from tqdm import tqdm

from . import blend, hetrec, ials, kernels, linear, ranking
from .report import Rows

METRICS = ["recall@10", "ndcg@10"]
# RecBole-GNN's table for this protocol.
PUBLISHED = {
    "NeuMF": {"recall@10": 0.1696, "ndcg@10": 0.1604},
    "BPR-MF": {"recall@10": 0.1761, "ndcg@10": 0.1674},
    "LightGCN": {"recall@10": 0.2064, "ndcg@10": 0.1972},
    "MHCN, with friends": {"recall@10": 0.2123, "ndcg@10": 0.2068},
}
RIDGES, TAGS, FRIENDS = (2.0, 3.0, 4.5), (0.5, 1.0, 2.0), 0.3
WIDE = ials.Settings(dim=128)
FITS = 3  # iALS fits that are averaged


class Trial:
    """One split: fits the models on train, chooses on valid, and notes each choice's figures on test."""

    def __init__(self, data: hetrec.HetRec, seed: int, rows: Rows) -> None:
        self.seed, self.rows, self.split = seed, rows, hetrec.split(data, seed)
        train = self.split.train
        self.alike = (kernels.by_artists(train), kernels.by_tags(train, self.split.tags),
                      kernels.by_friends(data.friends))

    def steps(self) -> list:
        """Returns the parts of a trial, in order."""
        return [self.baselines, self.factors, self.listeners, self.blends]

    def valid(self, scores: np.ndarray) -> float:
        """NDCG@10 on validation, by which everything is chosen."""
        return ranking.measure(scores, self.split.valid, self.split.train)["ndcg@10"]

    def note(self, kind: str, name: str, scores: np.ndarray) -> None:
        """Measures on test; artists of train and valid do not stand in a list."""
        seen = self.split.train + self.split.valid
        self.rows.add(kind, name, ranking.measure(scores, self.split.test, seen))

    def best(self, candidates) -> np.ndarray:
        """Returns the scores that rank valid best."""
        return max(candidates, key=self.valid)

    def baselines(self) -> None:
        """Models that are known to be hard to beat on sets of this size."""
        train = self.split.train
        self.note("baseline", "popularity", linear.popularity(train))
        self.note("baseline", "ItemKNN", self.best(linear.item_knn(train, k) for k in (100, 200)))
        self.note("baseline", "EASE", self.best(linear.ease(train, ridge) for ridge in (50, 100, 200)))

    def factors(self) -> None:
        """iALS: one of 64 dimensions as the baseline, one of 128, and the mean of several fits."""
        self.note("baseline", "iALS, 64 dimensions", self._ials(ials.Settings(), 0))
        fits = [self._ials(WIDE, k) for k in range(FITS)]
        self.note("ablation", "iALS, 128 dimensions", fits[0])
        self.ials = sum(blend.standardise(scores) for scores in fits)
        self.note("ablation", f"mean of {FITS} iALS of 128", self.ials)

    def listeners(self) -> None:
        """Kernel ridge over likeness by artists, then with friends, with tags, with both."""
        def note(name: str, settings) -> tuple[float, float, float]:
            chosen = max(settings, key=lambda setting: self.valid(self._kernel(setting)))
            self.note("ablation", name, self._kernel(chosen))
            return chosen

        note("kernel ridge over artists", itertools.product((0.0,), (0.0,), RIDGES))
        note("... and friends", itertools.product((0.0,), (FRIENDS,), RIDGES))
        tag, _, ridge = note("... and tags", itertools.product(TAGS, (0.0,), RIDGES))
        self.chosen = note("... and tags and friends", [(tag, friend, ridge) for friend in (0.0, FRIENDS)])

    def blends(self) -> None:
        """The blend, and the blend without each of its parts."""
        vectors = kernels.tag_vectors(self.split.tags)
        content = ((self.split.train @ vectors) @ vectors.T).toarray().astype(np.float32)
        self.note("ablation", "tags of the artist alone", content)
        parts = {"kernel ridge": self._kernel(self.chosen), "iALS": self.ials, "tags of the artist": content}
        parts = {name: blend.standardise(scores) for name, scores in parts.items()}
        for without in parts:
            kept = [scores for name, scores in parts.items() if name != without]
            self.note("ablation", f"blend without {without}", self._blend(kept)[0])
        scores, weights = self._blend(list(parts.values()))
        self.note("ours", "blend", scores)
        chosen = ", ".join(f"{name} {weight:g}" for name, weight in zip(parts, weights))
        tqdm.write(f"topn: seed {self.seed}: kernel (tags, friends, ridge) {self.chosen}; blend {chosen}")

    def _ials(self, settings: ials.Settings, fit: int) -> np.ndarray:
        rows, columns = ials.fit(self.split.train, settings, 1000 * self.seed + fit)
        return rows @ columns.T

    def _kernel(self, setting: tuple[float, float, float]) -> np.ndarray:
        """Returns the scores for the weights of tags and friends and the ridge."""
        tag, friend, ridge = setting
        artists, tags, friends = self.alike
        return linear.kernel_ridge(artists + tag * tags + friend * friends, self.split.train, ridge)

    def _blend(self, parts: list[np.ndarray]) -> tuple[np.ndarray, list[float]]:
        weights = blend.weights(parts, self.split.valid, self.split.train)
        return blend.combine(parts, weights), weights


def run(args: argparse.Namespace) -> Rows:
    """Runs every seed: a seed is a split and the start of the models."""
    data = hetrec.read(args.data)
    users, artists = data.listens.shape
    print(f"topn: {users} listeners, {artists} artists, {data.listens.nnz} pairs, seeds {args.seeds}", flush=True)
    rows = Rows(PUBLISHED)
    with tqdm(total=4 * len(args.seeds), desc="topn", disable=None) as bar:
        for seed in args.seeds:
            for step in Trial(data, seed, rows).steps():
                bar.set_postfix_str(f"seed {seed}, {step.__name__}")
                step()
                bar.update()
    return rows
