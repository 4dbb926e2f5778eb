"""Dropout of hidden units."""

import torch
from torch import Tensor, nn

from recipes._checks import require_share
from recipes._random import draw_rows
from recipes._recipe import Recipe
from recipes._registry import register
from recipes._slots import insert


class Dropout(nn.Module):
    """Zeroes each unit with probability p and scales the rest by 1 / (1 - p), in training mode; (N, C) -> (N, C)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        keep = draw_rows(torch.rand, x, tuple(x.shape[1:])) >= self.p
        return x * keep / (1 - self.p)


@register(
    family="dropout and noise",
    paper="Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov 2014, Dropout",
    strength="p",
    grid=(0.05, 0.1, 0.2, 0.3, 0.5, 0.7),
    off=0.0,
)
def dropout(p: float = 0.3) -> Recipe:
    """Hidden units of fully connected layers are dropped at random: h <- h * Bernoulli(1 - p) / (1 - p).

    On the inputs of every fully connected layer but the first one of an `mlp`; never after the output layer.
    Evaluation uses every unit (inverted scaling).

    Args:
        p: the strength: the probability that a unit is dropped, in [0, 1).

    Raises:
        ValueError: p is outside [0, 1).
        UnfitError: the network has no hidden units before a fully connected layer.
    """
    require_share("p", p)
    return Recipe(model=insert(lambda slot: Dropout(p), "hidden", dims=0))
