"""The logistic regression baseline: one linear layer a head over the same columns as the ranker's."""

import argparse
from dataclasses import replace

import torch
from torch import Tensor, nn

from . import ranker
from .config import Config, RankerConfig
from .mmoe import Standardise

FASTER = 10.0  # a convex problem takes larger steps than the network's


class Logistic(nn.Module):
    """Has the interface of `mmoe.Ranker`, but no expert."""

    def __init__(self, config: RankerConfig, user: Standardise, item: Standardise, cross: Standardise, tasks: int) -> None:
        super().__init__()
        self.scale_user, self.scale_item, self.scale_cross = user, item, cross
        self.from_user = nn.Linear(len(user.mean), tasks)
        self.from_item = nn.Linear(len(item.mean), tasks, bias=False)
        self.from_cross = nn.Linear(len(cross.mean), tasks, bias=False)
        for layer in (self.from_user, self.from_item, self.from_cross):
            nn.init.zeros_(layer.weight)
        self.register_buffer("slope", torch.ones(tasks))
        self.register_buffer("offset", torch.zeros(tasks))

    @torch.no_grad()
    def start_at(self, rates: Tensor) -> None:
        """Sets the biases to state the base `rates` [tasks], in 0..1."""
        self.from_user.bias.copy_(torch.logit(rates))

    def logits(self, user: Tensor, items: Tensor, cross: Tensor) -> Tensor:
        """Maps `user` [1 or N, U+D], `items` [N, I+D], `cross` [N, X] to logits [N, tasks]."""
        return (self.from_user(self.scale_user(user)) + self.from_item(self.scale_item(items))
                + self.from_cross(self.scale_cross(cross)))

    def forward(self, user: Tensor, items: Tensor, cross: Tensor) -> Tensor:
        """Maps the same inputs to `scores` [N, tasks], calibrated probabilities."""
        return torch.sigmoid(self.logits(user, items, cross) * self.slope + self.offset)


def settings(config: RankerConfig) -> RankerConfig:
    """Returns the configuration of plain logistic regression: cross-entropy a head, nothing else."""
    return replace(config, listwise=0.0, balance="fixed", learning_rate=FASTER * config.learning_rate)


def run(args: argparse.Namespace, config: Config) -> None:
    """Trains and exports `ranker.onnx` with what goes along."""
    ranker.run(args, replace(config, ranker=settings(config.ranker)), Logistic)
