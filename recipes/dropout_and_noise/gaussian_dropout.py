"""Multiplicative Gaussian noise on hidden units."""

import math
from typing import Annotated

import torch
from torch import Tensor, nn

from recipes._core.checks import In
from recipes._core.distributed import draw_rows
from recipes._core.recipe import Recipe
from recipes._core.registry import register
from recipes._core.slots import insert


def multiply_noise(x: Tensor, p: float) -> Tensor:
    """x * N(1, p / (1 - p)), drawn for each value of x (N, ...): the mean and variance of dropout's factor."""
    noise = draw_rows(torch.randn, x, tuple(x.shape[1:]))
    return (x * (1 + math.sqrt(p / (1 - p)) * noise)).to(x.dtype)


class GaussianDropout(nn.Module):
    """Multiplies each unit by noise around 1, in training mode; (N, C) -> (N, C)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return multiply_noise(x, self.p) if self.training else x


@register(
    paper="Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov 2014, Dropout (section 10)",
    reference="SciPy's normal distribution, and the moments of `torch.nn.functional.dropout`'s factor.",
    strength="p",
    grid=(0.05, 0.1, 0.2, 0.3, 0.5, 0.7),
    off=0.0,
)
def gaussian_dropout(p: Annotated[float, In(0, 1, right=False)] = 0.3) -> Recipe:
    """Hidden units of fully connected layers are multiplied by Gaussian noise: h <- h * N(1, p / (1 - p)).

    The noise has the mean and the variance of dropout's factor Bernoulli(1 - p) / (1 - p), and stands where `dropout`
    does. Evaluation is clean.

    Args:
        p: the strength: the drop probability of the dropout that is imitated.

    Raises:
        UnfitError: the network has no hidden units before a fully connected layer.
    """
    return Recipe(model=insert(lambda slot: GaussianDropout(p), "hidden", dims=0) if p else None)
