"""Softmax regression."""

from __future__ import annotations

from math import prod

from torch import nn

from bench.training.networks._registry import register


@register()
def linear(shape: tuple[int, ...], classes: int) -> nn.Module:
    """Softmax regression: one linear layer on the flattened input."""
    return nn.Sequential(nn.Flatten(), nn.Linear(prod(shape), classes))
