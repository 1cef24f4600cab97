"""Hyper-parameters. `config/default.toml` says what each key means; these classes give the keys their types."""

import tomllib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

DEFAULT = Path(__file__).resolve().parent.parent / "config" / "default.toml"


@dataclass(frozen=True)
class TowersConfig:
    """`[towers]`."""

    dim: int
    batch: int
    epochs: int
    patience: int
    learning_rate: float
    embedding_learning_rate: float
    weight_decay: float
    warmup: float
    candidates: int
    temperature: float
    id_dropout: float
    artist_dropout: float
    min_plays: int
    hidden: int
    heads: int
    recent: int
    dropout: float
    history_dropout: float
    item_hidden: int
    skip_threshold: float
    skip_weight: float
    valid_rows: int


@dataclass(frozen=True)
class RankerConfig:
    """`[ranker]`."""

    batch: int
    epochs: int
    patience: int
    learning_rate: float
    weight_decay: float
    warmup: float
    shared: int
    experts: int
    expert: int
    tower: int
    dropout: float
    task_weights: list[float]
    balance: str
    listwise: float


@dataclass(frozen=True)
class Config:
    """A whole configuration file."""

    towers: TowersConfig
    ranker: RankerConfig

    def as_dict(self) -> dict[str, Any]:
        """Returns nested plain values, for checkpoints."""
        return asdict(self)


def load(path: Path | None = None) -> Config:
    """Reads the defaults, then `path` over them.

    Raises `ValueError` naming every unknown section or key and every value of the wrong type.
    """
    values = tomllib.loads(DEFAULT.read_text())
    if path is not None:
        _merge(values, tomllib.loads(path.read_text()), path)
    return Config(towers=TowersConfig(**values["towers"]), ranker=RankerConfig(**values["ranker"]))


def _merge(values: dict[str, Any], changes: dict[str, Any], path: Path) -> None:
    """Writes `changes` over `values` in place."""
    problems = [f"[{name}] is no section" for name in changes if name not in values]
    for section in (f.name for f in fields(Config)):
        for key, new in changes.get(section, {}).items():
            old = values[section].get(key)
            if old is None:
                problems.append(f"[{section}] has no key `{key}`")
            elif isinstance(old, float) and isinstance(new, int) and not isinstance(new, bool):
                values[section][key] = float(new)
            elif type(old) is not type(new):
                problems.append(f"[{section}] {key} must be {type(old).__name__}, not {type(new).__name__}")
            else:
                values[section][key] = new
    if problems:
        raise ValueError(f"{path}: " + "; ".join(problems))
