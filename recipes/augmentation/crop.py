"""Random crops of the padded image."""

from typing import Annotated

import torch
from torch import Tensor

from recipes._core.checks import In, OneOf
from recipes._core.recipe import Recipe
from recipes._core.registry import register
from recipes.augmentation._images import warp

BEYOND = {"zero": "zeros", "reflect": "reflection"}


def random_crop(x: Tensor, padding: tuple[int, int], mode: str) -> Tensor:
    """Cut a window (H, W) out of each image (N, C, H, W) padded by (vertical, horizontal) pixels, at random."""
    down, right = (torch.randint(-p, p + 1, (len(x),), device=x.device).to(x.dtype) for p in padding)
    return warp(x, (1.0, 0.0, right), (0.0, 1.0, down), "nearest", BEYOND[mode])


@register(
    paper="Krizhevsky et al. 2012, ImageNet Classification; He, Zhang, Ren and Sun 2016, Deep Residual Learning",
    reference="torchvision v2's pad and crop, image by image; the uniform distribution of corners.",
    strength="padding",
    grid=(0.0625, 0.125, 0.25, 0.375, 0.5),
    off=0.0,
    needs=("image", "crop"),
)
def crop(
    padding: Annotated[float, In(0, 0.5)] = 0.125, mode: Annotated[str, OneOf(("zero", "reflect"))] = "zero"
) -> Recipe:
    """Every training image is padded and cut back to its size at a random place of its own, by whole pixels.

    At 1/8 of the side these are the 4 pixels usual for images of 32. Black padding as He et al. and torchvision's
    RandomCrop by default; `reflect` mirrors the image about its border pixels instead.

    Args:
        padding: the strength: pixels added on each side as a share of height and width; rounded, and at least one
            pixel.
        mode: `zero` or `reflect`.

    Raises:
        UnfitError: the dataset holds no images, or crops change their labels.
    """

    def batch(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        height, width = x.shape[2:]
        return random_crop(x, (max(1, round(padding * height)), max(1, round(padding * width))), mode), y

    return Recipe(batch=batch if padding else None)
