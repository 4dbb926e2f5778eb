"""Batch normalization over small parts of the batch."""

from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recipes._core.checks import In, Whole
from recipes._core.recipe import Recipe
from recipes._core.registry import register
from recipes._core.surgery import normalize
from recipes._core.synced_batch_norm import BatchNorm, move
from recipes.mixing._mixing import gather_rows


class GhostBatchNorm(nn.Module):
    """Normalizes each ghost batch by its own mean and variance; (N, C) or (N, C, H, W), shape kept.

    Args:
        channels, dims, momentum: as `BatchNorm` takes them.
        size: rows of a ghost batch; if the batch does not divide, some of them have more.
    """

    def __init__(self, channels: int, dims: int, momentum: float, size: int) -> None:
        super().__init__()
        self.norm = BatchNorm(channels, dims, momentum).norm
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        norm = self.norm
        if not self.training:
            return norm(x)  # type: ignore[no-any-return]
        ghosts = x.tensor_split(max(1, len(x) // self.size))
        mean, var = torch.zeros(2, len(ghosts), x.shape[1], device=x.device)
        # With momentum 1, the "running" statistics that come back are the ghost's own.
        parts = [
            F.batch_norm(ghost, mean[i], var[i], norm.weight, norm.bias, True, 1.0, norm.eps)
            for i, ghost in enumerate(ghosts)
        ]
        for m, v in zip(gather_rows(mean), gather_rows(var), strict=True):  # one after the other, as in the paper
            move(norm, m, v)
        return torch.cat(parts)


@register(
    paper="Hoffer, Hubara and Soudry 2017, Train Longer, Generalize Better",
    reference="`torch.nn.BatchNorm1d` and `BatchNorm2d`, one ghost batch after the other.",
    strength="size",
    grid=(64, 32, 16, 8, 4, 2),
    off=None,
)
def ghost_batch_norm(
    size: Annotated[int | None, Whole(2, 1_000_000)] = 16, momentum: Annotated[float, In(0, 1, left=False)] = 0.1
) -> Recipe:
    """Hidden layers are normalized over parts of the batch: h <- gamma * (h - mean_ghost) / std_ghost + beta.

    The smaller the ghost batch, the noisier its statistics. Ghost batches are contiguous rows; where `size` is at least
    the batch, this is `batch_norm`. Takes the place of a network's own batch norm. Running statistics, which evaluation
    uses, move once for each ghost batch. Several processes give one process's numbers if `size` divides their shares.

    Args:
        size: the strength, the smaller the stronger: rows of a ghost batch; `None`: no normalization at all, and a
            network's own is left alone.
        momentum: the weight of the newest ghost batch in the running statistics.

    Raises:
        UnfitError: the network has no hidden layer, or another recipe normalizes it.
    """
    if size is None:
        return Recipe()
    return Recipe(
        model=normalize("ghost_batch_norm", lambda slot: GhostBatchNorm(slot.channels, slot.dims, momentum, size))
    )
