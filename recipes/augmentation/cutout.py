"""Cutout."""

from typing import Annotated

import torch
from torch import Tensor

from recipes._core.checks import In
from recipes._core.recipe import Recipe
from recipes._core.registry import register
from recipes.augmentation._images import box_mask


def cut_out(x: Tensor, row: Tensor, column: Tensor, side: int) -> Tensor:
    """Hide a square of each image behind the batch's mean color; what reaches beyond the image is clipped.

    Args:
        x: (N, C, H, W).
        row, column: (N,) integers, the centre: the square takes `side // 2` pixels before it.
        side: pixels.
    """
    sides = torch.full_like(row, side)
    hidden = box_mask(x, row - side // 2, column - side // 2, sides, sides)
    return torch.where(hidden, x.mean((0, 2, 3), keepdim=True), x)


@register(
    paper="DeVries and Taylor 2017, Improved Regularization of Convolutional Neural Networks with Cutout",
    reference="a loop over images after the paper's code (clipped box around a centre); pixel counts in closed form.",
    strength="size",
    grid=(0.125, 0.25, 0.375, 0.5, 0.75, 1.0),
    off=0.0,
    needs=("image", "erase"),
)
def cutout(size: Annotated[float, In(0, 2)] = 0.5) -> Recipe:
    """A square of every training image is hidden, its centre anywhere in the image, so that the border may clip it.

    The square gets the mean color of the batch: the paper's code sets zeros after standardization, which is the mean
    color of the dataset. A square of an odd side is hidden whole; the authors' code hides one row and one column less
    then. The paper's best sizes on images of 32 pixels: 16 (CIFAR-10), 8 (CIFAR-100), 20 (SVHN).

    Args:
        size: the strength: the square's side as a share of the image's shorter side; rounded to at least one pixel. At
            2 every image is hidden whole.

    Raises:
        UnfitError: the dataset holds no images, or their labels do not survive a hidden patch.
    """

    def batch(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        n, _, height, width = x.shape
        row = torch.randint(height, (n,), device=x.device)
        column = torch.randint(width, (n,), device=x.device)
        return cut_out(x, row, column, max(1, round(size * min(height, width)))), y

    return Recipe(batch=batch if size else None)
