"""Normalization over groups of channels."""

from typing import Annotated

from torch import nn

from recipes._core.checks import Whole
from recipes._core.recipe import Recipe
from recipes._core.registry import register
from recipes._core.slots import Slot
from recipes._core.surgery import normalize


def count_groups(channels: int, size: int) -> int:
    """The largest number of equal groups of at least `size` channels; 1 if there are not as many channels."""
    return max(g for g in range(1, channels + 1) if channels % g == 0 and (g == 1 or channels // g >= size))


@register(
    paper="Wu and He 2018, Group Normalization",
    reference="the closed form over groups, for each sample and group in a loop.",
)
def group_norm(size: Annotated[int, Whole(2, 1_000_000)] = 16) -> Recipe:
    """Hidden layers are normalized in each sample over groups of channels: h <- gamma * (h - mean) / std + beta.

    Between each hidden layer and its activation, or in place of a network's own batch norm. Feature maps are normalized
    over a group's channels and all pixels. Of the paper's two settings, 32 groups or 16 channels a group, we take the
    second, since small layers keep enough values in a group. Nothing depends on the batch. It has no strength.

    Args:
        size: the least number of channels in a group; groups have the next larger size that divides the layer.

    Raises:
        UnfitError: the network has no hidden layer, or another recipe normalizes it.
    """

    def make(slot: Slot) -> nn.Module:
        return nn.GroupNorm(count_groups(slot.channels, size), slot.channels)

    return Recipe(model=normalize("group_norm", make))
