"""Random erasing."""

import math
from typing import Annotated, NamedTuple

import torch
from torch import Tensor

from recipes._core.checks import In
from recipes._core.recipe import Recipe
from recipes._core.registry import register
from recipes._core.transfer import to_device
from recipes.augmentation._images import box_mask

ATTEMPTS = 10
"""Draws of a box for each image, until one fits; as in torchvision and timm, 100 in the paper's code."""


class Boxes(NamedTuple):
    """(N,) integers each, in pixels, on the CPU: the size of the noise is then known without waiting for a device."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor


def draw_boxes(x: Tensor, scale: tuple[float, float], ratio: float) -> Boxes:
    """Draw a box for each image of `x`, of area ~ U(scale) of the image and log(height / width) ~ U(+-log(ratio)).

    Each lies within its image, anywhere; where none of the attempts fits, it is empty.
    """
    n, _, height, width = x.shape
    u, v = torch.rand(2, n, ATTEMPTS)
    down, right = torch.rand(2, n)
    area = height * width * (scale[0] + (scale[1] - scale[0]) * u)
    aspect = ((2 * v - 1) * math.log(ratio)).exp()
    h, w = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
    fits = (h < height) & (w < width)
    first = fits.int().argmax(dim=1, keepdim=True)
    h, w = ((side * fits).gather(1, first)[:, 0] for side in (h, w))
    top, left = down * (height - h + 1), right * (width - w + 1)
    return Boxes(*(v.long() for v in (top, left, h, w)))


def erase(x: Tensor, boxes: Boxes) -> Tensor:
    """Replace the boxes, clipped at the border, by uniform noise; (N, C, H, W) -> (N, C, H, W)."""
    channels, height, width = x.shape[1:]
    rows = (boxes.top + boxes.height).clamp_max(height) - boxes.top
    columns = (boxes.left + boxes.width).clamp_max(width) - boxes.left
    noise = torch.rand(int((rows * columns).sum()) * channels, device=x.device, dtype=x.dtype)
    mask = box_mask(x, *to_device(torch.stack(boxes), x))
    return x.clone().masked_scatter_(mask.expand_as(x), noise)


@register(
    paper="Zhong, Zheng, Kang, Li and Yang 2020, Random Erasing Data Augmentation",
    reference="torchvision v2's RandomErasing, by the distribution of its boxes (Kolmogorov-Smirnov); pixel counts.",
    strength="p",
    grid=(0.1, 0.25, 0.5, 0.75, 1.0),
    off=0.0,
    needs=("image", "erase"),
)
def random_erasing(
    p: Annotated[float, In(0, 1)] = 0.5,
    low: Annotated[float, In(0, 1, left=False, right=False)] = 0.02,
    high: Annotated[float, In(0, 1, left=False, right=False)] = 0.4,
    ratio: Annotated[float, In(0, 1, left=False)] = 0.3,
) -> Recipe:
    """With probability p a rectangle of a training image becomes noise: pixels ~ U(0, 1), each value its own.

    The rectangle's area is ~ U(low, high) of the image; it lies within the image. height / width is log-uniform in
    [ratio, 1 / ratio], as in torchvision and timm, so that tall and wide ones are equally likely (the paper's code
    draws it uniformly). Noise as in the paper; torchvision fills with black by default. high = 0.4 as in the paper,
    1/3 in torchvision and timm.

    Args:
        p: the strength: the probability that an image is erased in part.
        low, high: smallest and largest share of the area, low <= high.
        ratio: the smallest ratio of the sides.

    Raises:
        UnfitError: the dataset holds no images, or their labels do not survive a hidden patch.
    """
    if low > high:
        raise ValueError(f"low and high must be ordered, got {(low, high)}")

    def batch(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        boxes = draw_boxes(x, (low, high), ratio)
        erased = torch.rand(len(x)) < p
        return erase(x, boxes._replace(height=boxes.height * erased)), y

    return Recipe(batch=batch if p else None)
