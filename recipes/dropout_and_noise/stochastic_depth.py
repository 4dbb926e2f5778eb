"""Residual branches that are left out at random."""

from typing import Annotated

from torch import Tensor, nn

from recipes._core.checks import In
from recipes._core.recipe import Recipe
from recipes._core.registry import register
from recipes._core.slots import insert
from recipes.dropout_and_noise.dropout import drop


class DropBranch(nn.Module):
    """Drops the whole of a row with probability p, in training mode; (N, ...) -> (N, ...)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return drop(x, self.p, (1,) * (x.ndim - 1)) if self.training else x


@register(
    paper="Huang, Sun, Liu, Sedra and Weinberger 2016, Deep Networks with Stochastic Depth",
    reference='`torchvision.ops.stochastic_depth` in mode "row" and timm\'s `drop_path`, by their distribution.',
    strength="p",
    grid=(0.05, 0.1, 0.2, 0.3, 0.5, 0.7),
    off=0.0,
)
def stochastic_depth(p: Annotated[float, In(0, 1, right=False)] = 0.2) -> Recipe:
    """Residual branch l of L is left out with probability p * l / L: h <- shortcut(h) + branch(h) * kept / (1 - p_l).

    The first block's rate is p / L, as in the paper; in timm and in torchvision's networks (ConvNeXt, Swin) it is 0.
    Drawn for each sample, as in both; the paper draws once for a batch. The paper scales branches down in evaluation,
    we and both libraries scale them up in training.

    Args:
        p: the strength: the rate of the last branch.

    Raises:
        UnfitError: the network has no residual branches.
    """
    return Recipe(model=insert(lambda slot: DropBranch(p * slot.depth), "branch") if p else None)
