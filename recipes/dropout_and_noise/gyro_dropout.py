"""Dropout from a fixed pool of subnetworks."""

import torch
from torch import Tensor

from recipes._core.checks import require, require_share
from recipes._core.distributed import own_rows, world
from recipes._core.recipe import Recipe
from recipes._core.registry import register
from recipes._core.schedule import Progress, Scheduled
from recipes._core.slots import insert

MOST_MASKS = 100_000
"""More would fill the memory of a wide layer."""


def scheduled(rows: int, progress: float, sigma: int, tau: int) -> Tensor:
    """Which of the subnetworks 0 to sigma - 1 trains on each row of a batch: (rows,).

    Training is cut into ceil(sigma / tau) equal stretches; in each of them the next tau subnetworks share every batch,
    row by row in turn.
    """
    stretch = int(progress * -(-sigma // tau))
    return (stretch * tau + torch.arange(rows) % tau) % sigma


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
        rows = own_rows(scheduled(world() * len(x), self.progress, self.sigma, self.tau))
        return x * self.masks[rows.to(x.device)].to(x.dtype)


@register(
    family="dropout and noise",
    paper="Lee, Kim, Oh, Kim, Jeung, Noh and Seo 2022, Gyro Dropout: Maximizing Ensemble Effect in Training (MLSys)",
    strength="p",
    grid=(0.05, 0.1, 0.2, 0.3, 0.5, 0.7),
    off=0.0,
)
def gyro_dropout(p: float = 0.5, sigma: int = 256, tau: int = 16) -> Recipe:
    """Dropout that trains sigma subnetworks drawn in advance, tau at a time: h <- h * mask[subnetwork] / (1 - p).

    Each subnetwork is a mask of every layer where `dropout` stands, and trains for one stretch of tau / sigma of the
    steps, on 1 / tau of each batch. The authors' code in Composer draws the next tau at random with replacement and for
    each layer apart; here every subnetwork has its turn. Evaluation uses every unit.

    Args:
        p: the strength: the probability that a subnetwork lacks a unit, in [0, 1).
        sigma: the number of subnetworks, at least 1. The more, the nearer to `dropout`.
        tau: how many of them train at the same time, from 1 to sigma. The authors advise (256, 16) for small networks
            and (1024, 8) for ResNet-18.

    Raises:
        ValueError: p is outside [0, 1), sigma outside [1, 100,000] or tau outside [1, sigma].
        UnfitError: the network has no hidden units before a fully connected layer.
    """
    require_share("p", p)
    require(1 <= sigma <= MOST_MASKS, "sigma", sigma, f"from 1 to {MOST_MASKS}")
    require(1 <= tau <= sigma, "tau", tau, f"from 1 to sigma = {sigma}")
    if not p:
        return Recipe()
    model = insert(lambda slot: GyroDropout(slot.channels, p, sigma, tau), "hidden", dims=0)
    return Recipe(model=model, callbacks=lambda: [Progress()])
