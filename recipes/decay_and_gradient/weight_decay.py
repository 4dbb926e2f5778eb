"""Decoupled weight decay."""

from typing import Annotated

import torch
from torch.optim import Optimizer

from recipes._core.checks import AtLeast
from recipes._core.recipe import Recipe, Turn
from recipes._core.registry import register


@register(
    paper="Loshchilov and Hutter 2019, Decoupled Weight Decay Regularization",
    reference="torch.optim.AdamW, and stochastic gradient descent with decoupled decay by hand.",
    strength="wd",
    grid=(1e-3, 1e-2, 1e-1, 3e-1, 1.0, 3.0),
    off=0.0,
)
def weight_decay(wd: Annotated[float, AtLeast(0)] = 0.1) -> Recipe:
    """Weights shrink a little each step, apart from the loss: w <- w * (1 - lr * wd) before the optimizer's update.

    Biases and normalization parameters are exempt. The learning rate is the schedule's present one, as in
    `torch.optim.AdamW`; the paper multiplies by the schedule's factor alone, so that its lambda is lr * wd here.

    Args:
        wd: the strength: the share of a weight lost per unit of learning rate.
    """

    def decoupled(optimizer: Optimizer) -> Optimizer:
        optimizer.register_step_pre_hook(lambda optimizer, args, kwargs: decay(optimizer, wd))
        return optimizer

    return Recipe(optimizer=decoupled if wd else None, turn=Turn.DECAY)


@torch.no_grad()
def decay(optimizer: Optimizer, wd: float) -> None:
    """Shrink every weight (two dimensions or more) by its group's learning rate times wd."""
    for group in optimizer.param_groups:
        shrinking = [p for p in group["params"] if p.ndim >= 2 and p.grad is not None]
        if shrinking:
            torch._foreach_mul_(shrinking, 1 - group["lr"] * wd)
