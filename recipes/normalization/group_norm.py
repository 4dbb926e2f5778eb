"""Normalization over groups of channels."""

from torch import nn

from recipes._core.checks import require
from recipes._core.recipe import Recipe
from recipes._core.registry import register
from recipes._core.slots import Slot
from recipes._core.surgery import normalize


def count_groups(channels: int, size: int) -> int:
    """The largest number of equal groups of at least `size` channels; 1 if there are not as many channels."""
    return max(g for g in range(1, channels + 1) if channels % g == 0 and (g == 1 or channels // g >= size))


@register(family="normalization", paper="Wu and He 2018, Group Normalization")
def group_norm(size: int = 16) -> Recipe:
    """Hidden layers are normalized in each sample over groups of channels: h <- gamma * (h - mean) / std + beta.

    Between each hidden layer and its activation, or in place of a network's own batch norm. Feature maps are normalized
    over a group's channels and all pixels. Of the paper's two settings, 32 groups or 16 channels a group, we take the
    second, since small layers keep enough values in a group. Nothing depends on the batch. It has no strength.

    Args:
        size: the least number of channels in a group, at least 2; groups have the next larger size that divides the
            layer.

    Raises:
        ValueError: size is below 2.
        UnfitError: the network has no hidden layer, or another recipe normalizes it.
    """
    require(size >= 2, "size", size, "at least 2")

    def make(slot: Slot) -> nn.Module:
        return nn.GroupNorm(count_groups(slot.channels, size), slot.channels)

    return Recipe(model=normalize("group_norm", make))
