"""The models of protocol A against their naive twins, and the whole job on a small made-up set."""

import argparse
import contextlib
import io
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
import scipy.sparse as sp

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent / "train")]

from segue_quality import blend, hetrec, ials, kernels, linear, topn  # noqa: E402
from segue_quality.__main__ import main  # noqa: E402


def matrix(rows: int, columns: int, seed: int = 0, density: float = 0.3) -> sp.csr_matrix:
    """Returns random ones."""
    return sp.csr_matrix((np.random.default_rng(seed).random((rows, columns)) < density).astype(np.float32))


def write(folder: Path, users: int = 60, artists: int = 90) -> None:
    """Writes a set in HetRec's format in which two camps of listeners each have their own artists and tags."""
    rng = np.random.default_rng(3)
    plays, friends = ["userID\tartistID\tweight"], ["userID\tfriendID"]
    tagged = ["userID\tartistID\ttagID\tday\tmonth\tyear"]
    for user in range(users):
        liked = rng.choice(artists // 2, 20, replace=False) + (user % 2) * (artists // 2)
        plays += [f"{user + 7}\t{artist * 3}\t{rng.integers(1, 99)}" for artist in liked]
        tagged += [f"{user + 7}\t{artist * 3}\t{user % 2 + rng.integers(0, 2) * 10}\t1\t1\t2009"
                   for artist in liked[:9]]
        friends.append(f"{user + 7}\t{(user + 2) % users + 7}")
    for name, lines in (("user_artists", plays), ("user_friends", friends), ("user_taggedartists", tagged)):
        (folder / f"{name}.dat").write_text("\n".join(lines) + "\n")


class Models(unittest.TestCase):
    def test_ease_equals_its_definition(self) -> None:
        train, ridge = matrix(12, 30), 3.0
        dense = train.toarray().astype(np.float64)
        inverse = np.linalg.inv(dense.T @ dense + ridge * np.eye(30))
        weights = -inverse / np.diag(inverse)
        np.fill_diagonal(weights, 0)
        np.testing.assert_allclose(linear.ease(train, ridge), dense @ weights, atol=1e-5)

    def test_kernel_ridge_of_a_plain_product_is_ridge_regression(self) -> None:
        train = matrix(12, 30)
        dense = train.toarray().astype(np.float64)
        expected = dense @ np.linalg.inv(dense.T @ dense + 2 * np.eye(30)) @ dense.T @ dense
        np.testing.assert_allclose(linear.kernel_ridge(dense @ dense.T, train, 2.0), expected, atol=1e-5)

    def test_item_knn_equals_its_definition(self) -> None:
        train = matrix(20, 15)
        dense = train.toarray()
        length = np.linalg.norm(dense, axis=0).clip(1)
        alike = dense.T @ dense / np.outer(length, length)
        np.fill_diagonal(alike, 0)
        np.testing.assert_allclose(linear.item_knn(train, 15), dense @ alike, atol=1e-5)
        fewer = np.where(alike >= np.sort(alike, axis=0)[-4], alike, 0)
        np.testing.assert_allclose(linear.item_knn(train, 4), dense @ fewer, atol=1e-5)

    def test_ials_solves_the_normal_equations(self) -> None:
        rng = np.random.default_rng(0)
        train, settings = matrix(25, 40), ials.Settings(dim=8, regularisation=0.01, unobserved=0.2)
        train = sp.vstack([sp.csr_matrix((1, 40)), np.eye(1, 40, 5), train]).tocsr().astype(np.float32)
        train.data *= rng.uniform(0.5, 2, len(train.data)).astype(np.float32)
        other = rng.normal(size=(40, 8)).astype(np.float32)
        found = ials.solve(train, other, settings)
        for row, line in enumerate(train.toarray()):
            ridge = 0.01 * ((line > 0).sum() + 0.2 * 40)
            left = (other.T * (line + 0.2)) @ other + ridge * np.eye(8)
            np.testing.assert_allclose(found[row], np.linalg.solve(left, other.T @ line), atol=1e-4)

    def test_blend_finds_the_part_that_knows(self) -> None:
        valid, seen = matrix(30, 60, 1, 0.1), sp.csr_matrix((30, 60), dtype=np.float32)
        noise = np.random.default_rng(2).normal(size=(30, 60)).astype(np.float32)
        parts = [blend.standardise(noise), blend.standardise(valid.toarray() + 0.1 * noise[::-1])]
        weights = blend.weights(parts, valid, seen)
        self.assertGreater(weights[1], 5 * weights[0])

    def test_tags_are_unit_vectors_or_nothing(self) -> None:
        vectors = kernels.tag_vectors(matrix(6, 40, density=0.4).multiply(3).tocsr())
        length = np.sqrt(np.asarray(vectors.multiply(vectors).sum(1)).ravel())
        self.assertTrue(np.all(np.isclose(length, 1, atol=1e-5) | (length == 0)))


class Data(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = Path(self.folder.name)
        write(self.path)

    def test_parts_are_disjoint_and_whole(self) -> None:
        data = hetrec.read(self.path)
        parts = hetrec.split(data, 1)
        self.assertEqual((parts.train + parts.valid + parts.test != data.listens).nnz, 0)
        self.assertEqual([p.nnz for p in (parts.train, parts.valid, parts.test)], [60 * 16, 60 * 2, 60 * 2])
        self.assertGreater((hetrec.split(data, 2).test != parts.test).nnz, 0)

    def test_short_histories_keep_an_artist(self) -> None:
        sizes = {n: np.bincount(hetrec._parts(n), minlength=3).tolist() for n in (1, 2, 3, 9, 10, 50)}
        self.assertEqual(sizes, {1: [1, 0, 0], 2: [1, 0, 1], 3: [1, 1, 1], 9: [7, 1, 1], 10: [8, 1, 1], 50: [40, 5, 5]})

    def test_a_tag_on_a_held_out_artist_does_not_count(self) -> None:
        data = hetrec.read(self.path)
        parts = hetrec.split(data, 1)
        held = (parts.valid + parts.test).toarray() > 0
        expected = np.zeros(parts.tags.shape)
        for who, what, tag in data.tagged:
            expected[tag, what] += not held[who, what]
        self.assertLess(expected.sum(), len(data.tagged))
        np.testing.assert_array_equal(parts.tags.toarray(), expected)

    def test_a_missing_file_says_where_it_comes_from(self) -> None:
        (self.path / "user_friends.dat").unlink()
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            self.assertEqual(main(["topn", "--data", str(self.path)]), 1)
        self.assertIn("grouplens.org", said.getvalue())

    def test_the_job_beats_popularity_and_repeats_itself(self) -> None:
        args = argparse.Namespace(data=self.path, seeds=[1, 2])
        rows = topn.run(args)
        again = topn.run(args)
        for name, row in rows.rows.items():
            self.assertEqual(row.runs, again.rows[name].runs)
        ours, popular = (rows.rows[name].runs["ndcg@10"] for name in ("blend", "popularity"))
        self.assertEqual(len(ours), 2)
        self.assertGreater(min(ours), max(popular))
        figure = self.path / "figures" / "topn.svg"
        rows.figure(figure, "a < b", topn.METRICS)
        self.assertIn("a &lt; b", figure.read_text())
        self.assertIn("| blend | ours |", rows.table(topn.METRICS))


if __name__ == "__main__":
    unittest.main()
