"""The first phase: a linear scorer over the ranker's own columns, which says whom the ranker need not look at."""

import argparse
from dataclasses import replace

from . import ranker
from .config import Config
from .logistic import FASTER, Logistic


def run(args: argparse.Namespace, config: Config) -> None:
    """Trains it for what the ranker is trained for, lists included, and exports `first_phase.onnx` with what goes along."""
    settings = replace(config.ranker, learning_rate=FASTER * config.ranker.learning_rate, balance="fixed")
    ranker.run(args, replace(config, ranker=settings), Logistic, "first_phase")
