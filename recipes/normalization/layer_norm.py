"""Normalization over the units of a layer."""

from torch import nn

from recipes._core.recipe import Recipe
from recipes._core.registry import register
from recipes._core.surgery import normalize


@register(
    paper="Ba, Kiros and Hinton 2016, Layer Normalization",
    reference="`torch.nn.functional.layer_norm` over all units of a sample.",
)
def layer_norm() -> Recipe:
    """Hidden layers are normalized in each sample over all units: h <- gamma * (h - mean) / std + beta.

    Between each hidden layer and its activation, or in place of a network's own batch norm. Feature maps are normalized
    over channels and pixels, with one gamma and beta a channel, which is group norm with a single group (Wu and He
    2018); ConvNeXt's layer norm is over channels only, pixel by pixel. Nothing depends on the batch. It has no
    strength.

    Raises:
        UnfitError: the network has no hidden layer, or another recipe normalizes it.
    """
    return Recipe(model=normalize("layer_norm", lambda slot: nn.GroupNorm(1, slot.channels)))
