"""A multilayer perceptron."""

from __future__ import annotations

from math import prod
from typing import Annotated

from torch import nn

from bench.training.networks._layers import dense
from bench.training.networks._registry import register
from recipes import Whole


@register()
def mlp(shape: tuple[int, ...], classes: int, width: Annotated[int, Whole(1, 65536)] = 256) -> nn.Module:
    """Fully connected ReLU network, D-256-128-K: two hidden layers.

    Args:
        shape: of one input, which is flattened.
        classes: K.
        width: units of the first hidden layer; the second has half of them.
    """
    return nn.Sequential(
        nn.Flatten(),
        *dense(prod(shape), width),
        *dense(width, width // 2 or 1),
        nn.Linear(width // 2 or 1, classes),
    )
