"""A Segue bundle as columns: catalogue, vectors, popularity, rules (docs/formats.md)."""

import pathlib
import tomllib

import numpy as np
import pyarrow.parquet as pq

TOP = 1_000
MOST_RULES = 50


def _clipped(table, name, low, high):
    """A column of floats within its range; NaN where it is not known."""
    values = table[name].to_numpy().astype(np.float32)
    return np.clip(np.where(np.isfinite(values), values, np.nan), low, high)


def _codes(values):
    """Numbers for strings in the order in which they come; -1 for none."""
    known = {}
    return np.array([-1 if value is None else known.setdefault(value, len(known)) for value in values], np.int32)


def _scores(plays):
    plays = np.maximum(plays, np.float32(0))
    most = plays.max(initial=0)
    return (np.log1p(plays) / (np.log1p(most) if most > 0 else np.float32(1))).astype(np.float32)


class Popularity:
    """Of one market, or of the world."""

    def __init__(self, plays):
        self.plays, self.score = plays, _scores(plays)
        order = np.lexsort((np.arange(len(plays)), -plays))
        self.top = order[plays[order] > 0][:TOP].astype(np.int32)
        self.inverse_rank = np.zeros(len(plays), np.float32)
        self.inverse_rank[self.top] = np.float32(1) / np.arange(1, len(self.top) + 1, dtype=np.float32)


class Bundle:
    """Everything that is fixed while a process lives."""

    def __init__(self, directory):
        directory = pathlib.Path(directory)
        self.directory = directory
        manifest = tomllib.loads((directory / "manifest.toml").read_text())
        self.version, as_of_day = manifest["version"], manifest["as_of_ms"] // 86_400_000
        table = pq.read_table(directory / "tracks.parquet")
        self.track_ids = table["track_id"].to_pylist()
        self.rows = {track: row for row, track in enumerate(self.track_ids)}
        self.titles, self.artist_ids = table["title"].to_pylist(), table["artist_id"].to_pylist()
        self.artist, self.genre = _codes(self.artist_ids), _codes(table["genre"].to_pylist())
        self.album = _codes(table["album_id"].to_pylist())
        recordings = zip(table["recording_id"].to_pylist(), self.track_ids)
        self.recording = _codes([one if one is not None else "\0" + track for one, track in recordings])
        self.explicit = table["explicit"].to_numpy()
        self.duration_ms = table["duration_ms"].to_pylist()
        self._licences(table)
        with open(directory / "item_vectors.bin", "rb") as file:
            file.seek(12)
            dim, rows = np.fromfile(file, np.uint32, 1)[0], np.fromfile(file, np.uint64, 1)[0]
            self.vectors = np.fromfile(file, np.float32).reshape(int(rows), int(dim))
        self._popularity(directory)
        self._items(table, as_of_day)
        self._rules(directory)

    def _licences(self, table):
        self.markets = {}
        lists = table["markets"].to_pylist()
        self.everywhere = np.array([one is None for one in lists])
        for row, codes in enumerate(lists):
            for code in codes or ():
                self.markets.setdefault(code, self.everywhere.copy())[row] = True
        bounds = ((table["available_from_ms"], -(2**63)), (table["available_until_ms"], 2**63 - 1))
        self.opens, self.closes = (np.array([v if v is not None else none for v in column.to_pylist()], np.int64)
                                   for column, none in bounds)

    def _popularity(self, directory):
        table = pq.read_table(directory / "popularity.parquet")
        by_market = {}
        for market, row, plays in zip(*(table[name].to_pylist() for name in ("market", "track_ix", "plays"))):
            by_market.setdefault(market, np.zeros(len(self.track_ids), np.float32))[row] = plays
        self.popularity = {market: Popularity(plays) for market, plays in by_market.items()}
        self.world = self.popularity.pop(None)
        artists = np.zeros(self.artist.max() + 1, np.float32)
        np.add.at(artists, self.artist, self.world.plays)
        self.artist_score = _scores(artists)

    def _items(self, table, as_of_day):
        """The dense item columns, then the vector: what the ranker sees of a track."""
        self.tempo, self.energy = _clipped(table, "tempo_bpm", 0, 400), _clipped(table, "energy", 0, 1)
        self.valence = _clipped(table, "valence", 0, 1)
        age = as_of_day - table["release_day"].to_numpy().astype(np.float32)
        duration = np.minimum(table["duration_ms"].to_numpy().astype(np.float32), 3_600_000) / 60_000 / 5
        columns = [
            np.isfinite(self.tempo) & np.isfinite(self.energy), np.nan_to_num((self.tempo - 120) / 60, nan=0.0),
            *(np.nan_to_num(one, nan=0.5) for one in (
                self.energy, self.valence, _clipped(table, "danceability", 0, 1),
                _clipped(table, "acousticness", 0, 1))),
            np.nan_to_num((_clipped(table, "loudness_db", -60, 10) + 60) / 60, nan=0.8),
            self.world.score, self.artist_score[self.artist], np.isfinite(age),
            np.nan_to_num(np.log1p(np.maximum(age, 0)) / 10, nan=0.0), np.nan_to_num(duration, nan=0.7), self.explicit,
        ]
        dense = np.stack([np.asarray(column, np.float32) for column in columns], axis=1)
        self.items = np.ascontiguousarray(np.concatenate([np.clip(dense, -12, 12), self.vectors], axis=1))

    def _rules(self, directory):
        """Lists of successors; a row of `successors` holds one track's, -1 behind its end."""
        raw = np.fromfile(directory / "sequential_rules.bin", np.uint8)
        tracks = int(raw[16:24].view(np.uint64)[0])
        starts = raw[32:32 + 8 * (tracks + 1)].view(np.uint64).astype(np.int64)
        rules = raw[32 + 8 * (tracks + 1):].view(np.uint32).reshape(-1, 4)
        self.rule_starts, self.rule_successors = starts, rules[:, 0].astype(np.int64)
        self.rule_weights = rules[:, 1:].view(np.float32)

    def rules_of(self, track):
        """Successors of a track and their weights `[n, (next, after, near)]`."""
        part = slice(self.rule_starts[track], self.rule_starts[track + 1])
        return self.rule_successors[part], self.rule_weights[part]
