"""Dropout of square blocks of feature maps."""

from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from recipes._core.checks import In, Whole
from recipes._core.distributed import draw_rows
from recipes._core.recipe import Recipe
from recipes._core.registry import register
from recipes._core.schedule import Progress, Scheduled
from recipes._core.slots import insert


def drop_block(x: Tensor, p: float, block: int) -> Tensor:
    """Zero square blocks, anew in each channel of each image, and scale the rest by 1 / (1 - p).

    Args:
        x: (N, C, H, W).
        p: the probability of every single value to be zeroed, in [0, 1).
        block: the side of the blocks in pixels, cut to the map's height and width.
    """
    _, channels, height, width = x.shape
    tall, wide = min(block, height), min(block, width)
    # Blocks may start beyond the border. So block^2 places reach each value, each of which starts a block with
    # probability gamma: the value stays with probability (1 - gamma)^(block^2) = 1 - p, at the edges too.
    gamma = 1 - (1 - p) ** (1 / (tall * wide))
    row = x.new_empty(len(x), dtype=torch.float32)
    starts = draw_rows(torch.rand, row, (channels, height + tall - 1, width + wide - 1)) < gamma
    hit = F.max_pool2d(starts.to(x.dtype), (tall, wide), stride=1)
    return x * (1 - hit) / (1 - p)


class DropBlock(Scheduled):
    """Drops blocks in training mode; with `ramp`, at a rate that rises in proportion to the progress."""

    def __init__(self, p: float, block: int, ramp: bool) -> None:
        super().__init__()
        self.p, self.block, self.ramp = p, block, ramp

    def forward(self, x: Tensor) -> Tensor:
        p = self.p * self.progress if self.ramp else self.p
        return drop_block(x, p, self.block) if self.training and p else x


@register(
    paper="Ghiasi, Lin and Le 2018, DropBlock: A Regularization Method for Convolutional Networks",
    reference="a loop that paints the blocks one by one; `torchvision.ops.drop_block2d` shows what it is wrapped for.",
    strength="p",
    grid=(0.02, 0.05, 0.1, 0.2, 0.3, 0.5),
    off=0.0,
)
def dropblock(
    p: Annotated[float, In(0, 1, right=False)] = 0.1, block: Annotated[int, Whole(1, 1_000)] = 3, ramp: bool = True
) -> Recipe:
    """Square blocks of feature maps are dropped: h <- h * (1 - blocks) / (1 - p), where a value is hit with rate p.

    After the activation of every hidden convolution, for each image and channel anew. The paper's gamma counts on
    blocks that lie inside the map and do not overlap. With it torchvision drops a little less than p, least at the
    edges and most in the centre, and raises where min(block, H, W) is even; timm lets blocks begin anywhere, and drops
    more than p where the map is small: 0.21 in place of 0.1 with 7x7 blocks on 14x14. Here the rate is p everywhere.
    The paper scales by the share of values left in the batch; we scale by its expectation, so that rows stay
    independent.

    Args:
        p: the strength: the probability that a value is dropped.
        block: the blocks' side in pixels, cut to the size of a smaller map. The paper's 7 is for maps of 14 or 28
            pixels. At 1 this is dropout.
        ramp: whether the rate rises from 0 to p during training, as the paper found best.

    Raises:
        UnfitError: the network has no feature maps.
    """
    if not p:
        return Recipe()
    model = insert(lambda slot: DropBlock(p, block, ramp), "hidden", dims=2)
    return Recipe(model=model, callbacks=(lambda: [Progress()]) if ramp else None)
