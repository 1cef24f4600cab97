"""The ranker: multi-gate mixture of experts (Ma et al., KDD 2018) behind a first layer that is split by origin."""

import torch
from torch import Tensor, nn

from .config import RankerConfig


class Standardise(nn.Module):
    """Subtracts the train mean and divides by the train deviation, [width] each; both are constants of the graph.

    A column that never varies in train keeps its scale: it may vary later.
    """

    def __init__(self, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("factor", torch.where(deviation > 1e-6, 1 / deviation.clamp(min=1e-6), 1.0))

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, width] to the same shape, cut at 10 deviations so that one odd value cannot rule a score."""
        return ((x - self.mean) * self.factor).clamp(-10, 10)


class Ranker(nn.Module):
    """Scores candidates for all tasks. `logits` trains; `forward` is what is exported."""

    def __init__(self, config: RankerConfig, user: Standardise, item: Standardise, cross: Standardise, tasks: int) -> None:
        super().__init__()
        self.scale_user, self.scale_item, self.scale_cross = user, item, cross
        self.from_user = nn.Linear(len(user.mean), config.shared)
        self.from_item = nn.Linear(len(item.mean), config.shared, bias=False)
        self.from_cross = nn.Linear(len(cross.mean), config.shared, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        self.experts = nn.Linear(config.shared, config.experts * config.expert)
        self.gates = nn.Linear(config.shared, tasks * config.experts)
        self.towers = nn.ModuleList(
            nn.Sequential(nn.Linear(config.expert, config.tower), nn.ReLU(), nn.Linear(config.tower, 1))
            for _ in range(tasks))
        self.shape = (tasks, config.experts, config.expert)
        # Trains with `balance = "uncertainty"`; no part of the exported graph.
        self.log_variance = nn.Parameter(torch.zeros(tasks))
        self.register_buffer("slope", torch.ones(tasks))
        self.register_buffer("offset", torch.zeros(tasks))

    @torch.no_grad()
    def start_at(self, rates: Tensor) -> None:
        """Sets each head's last bias so that an untrained model states about the base `rates` [tasks], in 0..1."""
        for tower, rate in zip(self.towers, rates):
            tower[-1].bias.fill_(torch.logit(rate))

    def logits(self, user: Tensor, items: Tensor, cross: Tensor) -> Tensor:
        """Maps `user` [1 or N, U+D], `items` [N, I+D], `cross` [N, X] to uncalibrated logits [N, tasks].

        One user row costs its share of the first layer once, whatever N is.
        """
        _, experts, width = self.shape
        shared = self.dropout(self._shared(user, items, cross))
        opinions = torch.relu(self.experts(shared)).view(-1, experts, width)
        mixed = torch.matmul(self._gates(shared), opinions)
        return torch.cat([tower(mixed[:, k]) for k, tower in enumerate(self.towers)], 1)

    def expert_use(self, user: Tensor, items: Tensor, cross: Tensor) -> Tensor:
        """Returns the mean weight that each task's gate gives to each expert, [tasks, experts]; rows sum to 1."""
        return self._gates(self._shared(user, items, cross)).mean(0)

    def _shared(self, user: Tensor, items: Tensor, cross: Tensor) -> Tensor:
        return torch.relu(self.from_user(self.scale_user(user)) + self.from_item(self.scale_item(items))
                          + self.from_cross(self.scale_cross(cross)))

    def _gates(self, shared: Tensor) -> Tensor:
        tasks, experts, _ = self.shape
        return torch.softmax(self.gates(shared).view(-1, tasks, experts), -1)

    def forward(self, user: Tensor, items: Tensor, cross: Tensor) -> Tensor:
        """Maps the same inputs to `scores` [N, tasks], calibrated probabilities."""
        return torch.sigmoid(self.logits(user, items, cross) * self.slope + self.offset)
