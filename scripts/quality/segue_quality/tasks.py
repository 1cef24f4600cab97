"""Networks for two tasks, made of the served ranker's own modules: single task, shared bottom and MMoE."""

from dataclasses import dataclass

import numpy as np
import torch
from segue_train.config import RankerConfig
from segue_train.mmoe import Ranker, Standardise
from torch import Tensor, nn
from torch.nn import functional as F

MOODS = 3


@dataclass(frozen=True)
class Shape:
    """What differs between the designs: `experts` of `expert` units, and which tasks are learned."""

    experts: int
    expert: int
    liked: bool = True
    mood: bool = True


SINGLE_LIKED, SINGLE_MOOD = Shape(1, 64, mood=False), Shape(1, 64, liked=False)
SHARED_BOTTOM, MMOE = Shape(1, 64), Shape(4, 16)
EPOCHS, RATE, DECAY, MOOD_WEIGHT = 60, 0.003, 1.0, 0.5
FEELING_SCALE = 4.0  # valence and arousal are mostly within 0.5 of 0


@dataclass(frozen=True)
class Inputs:
    """Float tensors with a row an observation; `feeling` reaches the mood alone."""

    who: Tensor
    track: Tensor
    situation: Tensor
    feeling: Tensor


class Network(nn.Module):
    """A `Ranker` with a head for liked and one a mood, plus a linear path, plus feelings into the moods."""

    def __init__(self, shape: Shape, train: Inputs) -> None:
        super().__init__()
        config = RankerConfig(batch=0, epochs=0, patience=0, learning_rate=0, weight_decay=0, warmup=0, shared=64,
                              experts=shape.experts, expert=shape.expert, tower=16, dropout=0.3, task_weights=[],
                              balance="fixed", listwise=0)
        blocks = [_plain(x) for x in (train.who, train.track, train.situation)]
        self.ranker = Ranker(config, *blocks, 1 + MOODS)
        self.linear = nn.Linear(sum(x.shape[1] for x in (train.who, train.track, train.situation)), 1 + MOODS)
        width = train.feeling.shape[1]
        self.feeling = nn.Sequential(nn.Linear(width, 16), nn.ReLU(), nn.Linear(16, MOODS))
        self.plain_feeling = nn.Linear(width, MOODS)
        nn.init.zeros_(self.linear.weight)

    def forward(self, x: Inputs) -> tuple[Tensor, Tensor]:
        """Returns the logit of liked [N] and the logits of the moods [N, 3]."""
        logits = self.ranker.logits(x.who, x.track, x.situation)
        logits = logits + self.linear(torch.cat([x.who, x.track, x.situation], 1))
        felt = FEELING_SCALE * x.feeling
        return logits[:, 0], logits[:, 1:] + self.feeling(felt) + self.plain_feeling(felt)


def fit(shape: Shape, train: Inputs, liked: Tensor, mood: Tensor, seed: int) -> Network:
    """Trains on the whole of `train` at each step; the number of steps is fixed."""
    torch.manual_seed(seed)
    network = Network(shape, train)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    for _ in range(EPOCHS):
        likes, moods = network(train)
        loss = likes.new_zeros(())
        if shape.liked:
            loss = loss + F.binary_cross_entropy_with_logits(likes, liked)
        if shape.mood:
            loss = loss + (MOOD_WEIGHT if shape.liked else 1.0) * F.cross_entropy(moods, mood)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return network.eval()


@torch.no_grad()
def predict(networks: list[Network], x: Inputs) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mean logit of liked [N] and the mean probabilities of the moods [N, 3]."""
    answers = [network(x) for network in networks]
    return (torch.stack([likes for likes, _ in answers]).mean(0).numpy(),
            torch.stack([moods.softmax(1) for _, moods in answers]).mean(0).numpy())


def _plain(x: Tensor) -> Standardise:
    """Columns come scaled already."""
    return Standardise(torch.zeros(x.shape[1]), torch.ones(x.shape[1]))
