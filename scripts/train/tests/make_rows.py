"""Writes small rows directories that keep the contract of `docs/formats.md` and have something to learn."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

H, U, I, X, D = 8, 5, 4, 3, 64
SIGNALS = ["valid", "signal", "played_fraction", "age_log", "in_session", "liked"]
GENRES = 5


def lists(values: np.ndarray) -> pa.Array:
    """Returns a list column of `values` [rows, ...]."""
    flat = np.ascontiguousarray(values).reshape(len(values), -1)
    offsets = np.arange(len(flat) + 1, dtype=np.int32) * flat.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat.ravel()))


def tower_rows(out: Path, rows: int = 1200, tracks: int = 120, seed: int = 3) -> None:
    """Listeners walk the catalogue mostly to the next track of the newest play, and skip some entries on the way."""
    rng = np.random.default_rng(seed)
    out.mkdir(parents=True, exist_ok=True)
    newest = rng.integers(0, tracks, rows)
    history = (newest[:, None] - np.arange(H)) % tracks
    history[rng.random((rows, H)) < 0.1] = rng.integers(tracks)
    history[np.arange(H) >= rng.integers(1, H + 1, rows)[:, None]] = -1
    target = np.where(rng.random(rows) < 0.8, (newest + 1) % tracks, rng.integers(0, tracks, rows))
    there = (history >= 0)[..., None]
    signals = rng.random((rows, H, len(SIGNALS))).astype(np.float32)
    signals[..., 1] = np.where(rng.random((rows, H)) < 0.1, -1.0, 1.0)
    valid = np.arange(rows) >= rows * 0.9
    pq.write_table(pa.table({
        "user_id": [f"u{k % 40}" for k in range(rows)], "session_id": [f"s{k % 90}" for k in range(rows)],
        "ts_ms": np.arange(rows) * 60_000, "split": np.where(valid, "valid", "train").tolist(),
        "target_ix": target.astype(np.int32), "history_ix": lists(history.astype(np.int32)),
        "history_signals": lists(signals * there), "user": lists(rng.random((rows, U), np.float32)),
    }), out / "towers.parquet")
    genre = np.arange(tracks) % (GENRES + 1) - 1
    pq.write_table(pa.table({
        "track_id": [f"t{k}" for k in range(tracks)], "artist_ix": (np.arange(tracks) // 4).astype(np.int32),
        "genre_ix": genre.astype(np.int32), "item": lists(rng.random((tracks, I), np.float32)),
        "plays": np.bincount(target, minlength=tracks).astype(np.int64),
    }), out / "items.parquet")
    _schema(out, tracks)


def ranker_rows(out: Path, groups: int = 150, size: int = 10, skips: bool = False, seed: int = 4) -> None:
    """One played row a group, drawn by a hidden score of the cross columns and the vectors' dot product."""
    rng = np.random.default_rng(seed)
    rows = groups * size
    user = np.repeat(rng.normal(size=(groups, U + D)).astype(np.float32), size, 0)
    user[:, 0] = 1.0  # a column that never varies
    item = rng.normal(size=(rows, I + D)).astype(np.float32)
    cross = rng.normal(size=(rows, X)).astype(np.float32)
    score = (2 * cross[:, 0] - cross[:, 1] + 0.1 * (user[:, U:] * item[:, I:]).sum(1)).reshape(groups, size)
    played = np.zeros((groups, size), bool)
    played[np.arange(groups), (score + rng.gumbel(size=score.shape)).argmax(1)] = True
    played = played.ravel()
    label, mask = np.zeros((rows, 3), np.float32), np.zeros((rows, 3), np.float32)
    mask[:, 0] = 1
    mask[played] = 1
    label[played, 0] = rng.random(groups) < 0.9
    label[played, 1] = (1 - label[played, 0]) if skips else 0
    label[played, 2] = rng.random(groups) < 0.3
    group = np.repeat(np.arange(groups), size)
    pq.write_table(pa.table({
        "group": group.astype(np.int64), "user_id": [f"u{g % 20}" for g in group], "ts_ms": group * 1000,
        "split": np.where(group >= groups * 0.8, "valid", "train").tolist(),
        "track_ix": rng.integers(0, 120, rows).astype(np.int32), "played": played, "user": lists(user),
        "item": lists(item), "cross": lists(cross), "label": lists(label), "mask": lists(mask),
    }), out / "ranker.parquet")


def _schema(out: Path, tracks: int) -> None:
    (out / "schema.json").write_text(json.dumps({
        "feature_version": 2, "history_len": H, "signals": SIGNALS, "user": [f"u{k}" for k in range(U)],
        "item": [f"i{k}" for k in range(I)], "cross": ["user_similarity", "x1", "x2"],
        "tasks": ["complete", "skip", "like"], "dim": D, "tracks": tracks, "artists": -(-tracks // 4),
        "genres": GENRES, "rank_from_ms": 10**9, "test_from_ms": 2 * 10**9}))
