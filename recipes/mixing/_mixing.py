"""What the mixing techniques share: how lambda and the partners of a batch's rows are drawn."""

from __future__ import annotations

import torch
from torch import Tensor

from recipes._core.distributed import all_sum, rank, world


def draw_lambda(alpha: float, n: int = 1) -> Tensor:
    """(n,) draws from Beta(alpha, alpha), on the CPU.

    In double precision: at small alpha both of the Gamma variables behind a draw round to zero in single precision.
    """
    concentration = torch.tensor(alpha, dtype=torch.float64)
    return torch.distributions.Beta(concentration, concentration).sample((n,)).float()


def draw_shift(n: int) -> int:
    """How many places before it each row's partner lies, cyclically; never 0, if there is another row.

    Rows come in random order, so this is a random partner. Shifts commute: a batch mixed twice, on whatever layer,
    keeps inputs and targets together.
    """
    return int(torch.randint(1, max(n, 2), ())) % n


def gather_rows(x: Tensor) -> Tensor:
    """The rows of all processes, in order: (world * N, ...); gradients flow back to each process's own rows."""
    if world() == 1:
        return x
    before, after = rank() * len(x), (world() - rank() - 1) * len(x)
    blank = x.new_zeros(before + after, *x.shape[1:], dtype=torch.float32)
    return all_sum(torch.cat([blank[:before], x.float(), blank[before:]])).to(x.dtype)
