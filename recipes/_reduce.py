"""Sums over the processes that train together, through which gradients flow."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from recipes._random import world


class _Sum(torch.autograd.Function):
    """Sum over processes; its gradient is the sum of their gradients, and so on for the gradient's gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return all_sum(grads[0])


def all_sum(x: Tensor) -> Tensor:
    """The sum of every process's `x`, the same on all of them.

    What is computed from it is the whole batch's on every process. Its gradient reaches the rows of all processes, and
    averaging over processes, as ddp does, then gives one process's gradient.
    """
    if world() == 1:
        return x
    total: Tensor = _Sum.apply(x)
    return total
