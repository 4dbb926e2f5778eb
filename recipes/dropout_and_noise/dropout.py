"""Dropout of hidden units."""

from typing import Annotated

import torch
from torch import Tensor, nn

from recipes._core.checks import In
from recipes._core.distributed import draw_rows
from recipes._core.recipe import Recipe
from recipes._core.registry import register
from recipes._core.slots import insert


def drop(x: Tensor, p: float, shape: tuple[int, ...]) -> Tensor:
    """Zero parts of x with probability p and scale the rest by 1 / (1 - p).

    Args:
        x: (N, ...).
        p: in [0, 1).
        shape: of one row's mask, which is broadcast: x.shape[1:] drops value by value, (C, 1, 1) whole maps.
    """
    # In single precision also where x is not: bfloat16 has 256 numbers in [0, 1), too few for a small p.
    row = x.new_empty(len(x), dtype=torch.float32)
    keep = draw_rows(torch.rand, row, shape) >= p
    return x * keep / (1 - p)


class Dropout(nn.Module):
    """Drops each unit with probability p, in training mode; (N, C) -> (N, C)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return drop(x, self.p, tuple(x.shape[1:])) if self.training and self.p else x


@register(
    paper="Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov 2014, Dropout",
    reference="`torch.nn.functional.dropout`, by its distribution.",
    strength="p",
    grid=(0.05, 0.1, 0.2, 0.3, 0.5, 0.7),
    off=0.0,
)
def dropout(p: Annotated[float, In(0, 1, right=False)] = 0.3) -> Recipe:
    """Hidden units of fully connected layers are dropped at random: h <- h * Bernoulli(1 - p) / (1 - p).

    On the inputs of every fully connected layer but the first one of an `mlp`; never after the output layer.
    Evaluation uses every unit (inverted scaling).

    Args:
        p: the strength: the probability that a unit is dropped.

    Raises:
        UnfitError: the network has no hidden units before a fully connected layer.
    """
    return Recipe(model=insert(lambda slot: Dropout(p), "hidden", dims=0) if p else None)
