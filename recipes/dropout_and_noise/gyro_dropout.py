"""Dropout from a fixed pool of subnetworks."""

import math
from typing import Annotated

import torch
from torch import Tensor

from recipes._core.checks import In, Whole
from recipes._core.distributed import own_rows, world
from recipes._core.recipe import Recipe
from recipes._core.registry import register
from recipes._core.schedule import Progress, Scheduled
from recipes._core.slots import insert
from recipes._core.transfer import to_device

TINY = 1e-9
"""Less than one step's share of any training, and more than a division's rounding."""


def scheduled(rows: int, progress: float, sigma: int, tau: int) -> Tensor:
    """Which of the subnetworks 0 to sigma - 1 trains on each row of a batch: (rows,).

    Training is cut into ceil(sigma / tau) equal stretches; in each of them the next tau subnetworks share every batch,
    row by row in turn. Where a batch has fewer rows than tau, it is shared by as many as it has rows, in as many more
    stretches, so that each subnetwork has its turn.
    """
    tau = min(tau, rows)
    stretch = int(progress * math.ceil(sigma / tau) + TINY)
    return (stretch * tau + torch.arange(rows) % tau) % sigma


def at_once(sigma: int, tau: int, steps: int | None) -> int:
    """How many subnetworks share a batch: tau, or more where training has fewer steps than sigma / tau."""
    return tau if steps is None else max(tau, math.ceil(sigma / steps))


class GyroDropout(Scheduled):
    """Drops units by the masks of the subnetworks at work, in training mode; (N, C) -> (N, C)."""

    def __init__(self, channels: int, p: float, sigma: int, tau: int) -> None:
        super().__init__()
        self.sigma, self.tau = sigma, tau
        self.masks: Tensor
        # The factor 1 / (1 - p) included, so that evaluation uses every unit as it is.
        self.register_buffer("masks", (torch.rand(sigma, channels) >= p) / (1 - p))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        tau = at_once(self.sigma, self.tau, self.steps)
        rows = own_rows(scheduled(world() * len(x), self.progress, self.sigma, tau))
        return x * self.masks[to_device(rows, x)].to(x.dtype)


@register(
    paper="Lee, Kim, Oh, Kim, Jeung, Noh and Seo 2022, Gyro Dropout: Maximizing Ensemble Effect in Training (MLSys)",
    reference="a loop over stretches and rows, written from the paper's description.",
    strength="p",
    grid=(0.05, 0.1, 0.2, 0.3, 0.5, 0.7),
    off=0.0,
)
def gyro_dropout(
    p: Annotated[float, In(0, 1, right=False)] = 0.5,
    sigma: Annotated[int, Whole(1, 100_000)] = 256,
    tau: Annotated[int, Whole(1, 100_000)] = 16,
) -> Recipe:
    """Dropout that trains sigma subnetworks drawn in advance, tau at a time: h <- h * mask[subnetwork] / (1 - p).

    Each subnetwork is a mask of every layer where `dropout` stands, and trains for one stretch of tau / sigma of the
    steps, on 1 / tau of each batch. The authors' code in Composer draws the next tau at random with replacement and for
    each layer apart; here every subnetwork has its turn: fewer than tau train at the same time where a batch has fewer
    rows, and more where there are fewer than sigma / tau steps. Only a run whose batches hold fewer than sigma rows in
    all leaves some out. Evaluation uses every unit.

    Args:
        p: the strength: the probability that a subnetwork lacks a unit.
        sigma: the number of subnetworks. The more, the nearer to `dropout`.
        tau: how many of them train at the same time, at most sigma. The authors advise (256, 16) for small networks and
            (1024, 8) for ResNet-18.

    Raises:
        UnfitError: the network has no hidden units before a fully connected layer.
    """
    if tau > sigma:
        raise ValueError(f"tau must be from 1 to sigma = {sigma}, got {tau}")
    if not p:
        return Recipe()
    model = insert(lambda slot: GyroDropout(slot.channels, p, sigma, tau), "hidden", dims=0)
    return Recipe(model=model, callbacks=lambda: [Progress()])
