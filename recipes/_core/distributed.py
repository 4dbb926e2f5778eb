"""Processes that train together: their shares of a batch, numbers drawn for the whole of it, and sums over it.

A training step seeds every process alike. Drawing for the whole batch and keeping one's own rows makes two processes
with half a batch each drop exactly the units that one process with the whole batch drops.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.nn.functional import all_reduce


def world() -> int:
    """How many processes train together (1 outside distributed training)."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's number, from 0 to `world() - 1`."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def own_rows(x: Tensor) -> Tensor:
    """This process's contiguous, equal share of a whole batch's rows."""
    n = world()
    if n == 1:
        return x
    if len(x) % n:
        raise ValueError(f"a batch of {len(x)} rows does not divide among {n} processes")
    share = len(x) // n
    return x[rank() * share : (rank() + 1) * share]


def draw_rows(draw: Callable[..., Tensor], x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Draw (N, *shape) numbers for this process's N rows of `x`, as the slice of one draw for the whole batch.

    Args:
        draw: `torch.rand`, `torch.randn` or alike.
        x: gives the number of rows, the device and the floating type; half types draw in float32, since bfloat16 knows
            only 256 uniform numbers.
        shape: the shape of each row's numbers.
    """
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    return own_rows(draw(world() * len(x), *shape, device=x.device, dtype=dtype))


def all_sum(x: Tensor) -> Tensor:
    """The sum of every process's `x`, the same on all of them.

    What is computed from it is the whole batch's on every process. Its gradient reaches the rows of all processes, and
    averaging over processes, as ddp does, then gives one process's gradient. So do gradients of gradients.
    """
    # The group that is there now: the function's own default is the one that was there when it was imported.
    total: Tensor = x if world() == 1 else all_reduce(x, group=dist.group.WORLD)
    return total
