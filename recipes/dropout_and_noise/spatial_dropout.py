"""Dropout of whole feature maps."""

from typing import Annotated

from torch import Tensor, nn

from recipes._core.checks import In
from recipes._core.recipe import Recipe
from recipes._core.registry import register
from recipes._core.slots import insert
from recipes.dropout_and_noise.dropout import drop


class SpatialDropout(nn.Module):
    """Drops each channel of each image with probability p, in training mode; (N, C, H, W) -> (N, C, H, W)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return drop(x, self.p, (x.shape[1], 1, 1)) if self.training else x


@register(
    paper="Tompson, Goroshin, Jain, LeCun and Bregler 2015, Efficient Object Localization Using Convolutional Networks",
    reference="`torch.nn.functional.dropout2d`, by its distribution.",
    strength="p",
    grid=(0.02, 0.05, 0.1, 0.2, 0.3, 0.5),
    off=0.0,
)
def spatial_dropout(p: Annotated[float, In(0, 1, right=False)] = 0.1) -> Recipe:
    """Whole feature maps are dropped at random: h[channel] <- h[channel] * Bernoulli(1 - p) / (1 - p).

    Neighbouring pixels are so alike that dropping single ones takes little away. After the activation of every hidden
    convolution, for each image anew (the paper: one layer, chosen by hand); as `torch.nn.Dropout2d`.

    Args:
        p: the strength: the probability that a channel is dropped.

    Raises:
        UnfitError: the network has no feature maps.
    """
    return Recipe(model=insert(lambda slot: SpatialDropout(p), "hidden", dims=2) if p else None)
