"""Reads a rows directory: `schema.json`, `items.parquet`, `towers.parquet`, `ranker.parquet`. Computes no feature."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor


@dataclass(frozen=True)
class Schema:
    """What `schema.json` says about the columns."""

    history_len: int
    signals: list[str]
    user: list[str]
    item: list[str]
    cross: list[str]
    tasks: list[str]
    dim: int | None
    artists: int
    genres: int
    raw: dict[str, Any]


@dataclass(frozen=True)
class Items:
    """The catalogue, row = `TrackIx`: `dense` [n, I], `plays` [n] (positive ones), and ids [n] int64, +1, 0 = none."""

    dense: Tensor
    artist: Tensor
    genre: Tensor
    plays: Tensor

    def __len__(self) -> int:
        return len(self.plays)


@dataclass(frozen=True)
class TowerRows:
    """Positive plays: `target` [r], `history` [r, H] (-1 = empty), `signals` [r, H, S], `user` [r, U]."""

    target: Tensor
    history: Tensor
    signals: Tensor
    user: Tensor
    train: Tensor
    valid: Tensor
    first_ms: int
    last_ms: int


@dataclass(frozen=True)
class RankerRows:
    """Candidates: `user` [r, U+D], `item` [r, I+D], `cross` [r, X], `label` and `mask` [r, tasks], `group` [r]."""

    user: Tensor
    item: Tensor
    cross: Tensor
    label: Tensor
    mask: Tensor
    group: np.ndarray
    valid: np.ndarray
    first_ms: int
    last_ms: int


def read_schema(rows: Path) -> Schema:
    """Reads `schema.json`."""
    raw = json.loads((rows / "schema.json").read_text())
    names = {f: raw[f] for f in Schema.__dataclass_fields__ if f != "raw"}
    return Schema(**names, raw=raw)


def read_items(rows: Path, schema: Schema) -> Items:
    """Reads `items.parquet`."""
    table = pq.read_table(rows / "items.parquet", columns=["artist_ix", "genre_ix", "item", "plays"])
    return Items(
        dense=_lists(table, "item", len(schema.item)),
        artist=_scalars(table, "artist_ix", np.int64) + 1,
        genre=_scalars(table, "genre_ix", np.int64) + 1,
        plays=_scalars(table, "plays", np.float32),
    )


def read_tower_rows(rows: Path, schema: Schema) -> TowerRows:
    """Reads `towers.parquet`. Raises `ValueError` when a split is empty."""
    table = pq.read_table(rows / "towers.parquet", columns=[
        "ts_ms", "split", "target_ix", "history_ix", "history_signals", "user"])
    train, valid = _split(table, rows / "towers.parquet")
    h, s = schema.history_len, len(schema.signals)
    ts = _scalars(table, "ts_ms", np.int64)
    return TowerRows(
        target=_scalars(table, "target_ix", np.int64),
        history=_lists(table, "history_ix", h),
        signals=_lists(table, "history_signals", h * s).view(-1, h, s),
        user=_lists(table, "user", len(schema.user)),
        train=torch.from_numpy(np.flatnonzero(train)),
        valid=torch.from_numpy(np.flatnonzero(valid)),
        first_ms=int(ts.min()),
        last_ms=int(ts.max()),
    )


def read_ranker_rows(rows: Path, schema: Schema, dim: int) -> RankerRows:
    """Reads `ranker.parquet`, whose `user` and `item` end in the vectors of `dim`. Raises `ValueError` on an empty split."""
    table = pq.read_table(rows / "ranker.parquet", columns=[
        "group", "ts_ms", "split", "user", "item", "cross", "label", "mask"])
    _, valid = _split(table, rows / "ranker.parquet")
    ts = _scalars(table, "ts_ms", np.int64)
    return RankerRows(
        user=_lists(table, "user", len(schema.user) + dim),
        item=_lists(table, "item", len(schema.item) + dim),
        cross=_lists(table, "cross", len(schema.cross)),
        label=_lists(table, "label", len(schema.tasks)),
        mask=_lists(table, "mask", len(schema.tasks)),
        group=table["group"].to_numpy(),
        valid=valid,
        first_ms=int(ts.min()),
        last_ms=int(ts.max()),
    )


def _scalars(table: pa.Table, name: str, dtype: type) -> Tensor:
    return torch.from_numpy(table[name].to_numpy().astype(dtype))


def _lists(table: pa.Table, name: str, width: int) -> Tensor:
    """Returns a list column as [rows, width], its own copy. Raises `ValueError` when a row has another length."""
    column = table[name].combine_chunks()
    flat = column.flatten()
    lengths = np.diff(np.asarray(column.offsets)) if pa.types.is_list(column.type) else np.array([column.type.list_size])
    if (lengths != width).any() or flat.null_count:
        raise ValueError(f"column `{name}` must hold {width} values in every row, as schema.json says")
    return torch.from_numpy(np.array(flat)).view(len(column), width)


def _split(table: pa.Table, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Returns the boolean masks of the train and valid rows."""
    split = np.asarray(table["split"].to_pylist())
    for name in ("train", "valid"):
        if not (split == name).any():
            raise ValueError(f"{path} has no row with split = {name!r}: give `segue backfill` a longer period")
    return split == "train", split == "valid"
