"""Random brightness, contrast, saturation and hue."""

from typing import Annotated

import torch
from torch import Tensor

from recipes._core.checks import AtLeast
from recipes._core.recipe import Recipe
from recipes._core.registry import register
from recipes.augmentation import _images as images
from recipes.augmentation._policies import apply_each_

OPERATIONS = (images.brightness, images.contrast, images.saturation, images.hue)
HALF_CIRCLE = 0.5


def jitter(x: Tensor, order: Tensor, parameters: Tensor) -> Tensor:
    """Apply to each image the four operations in its own order.

    Args:
        x: (N, C, H, W) in [0, 1].
        order: (N, 4) permutations of 0 to 3, on the CPU.
        parameters: (N, 4) three factors and a share of the color circle, on the CPU.
    """
    x = x.clone()
    for which in order.T:
        apply_each_(x, which, parameters.gather(1, which[:, None])[:, 0], OPERATIONS)
    return x


@register(
    paper="Howard 2013, Some Improvements on Deep CNN Based Image Classification; Szegedy et al. 2015, Going Deeper",
    reference="torchvision v2's four color functions, image by image, in the order drawn; uniform distributions.",
    strength="magnitude",
    grid=(0.25, 0.5, 1.0, 1.5, 2.0, 2.5),
    off=0.0,
    needs=("image", "color"),
)
def color_jitter(
    magnitude: Annotated[float, AtLeast(0)] = 1.0,
    brightness: Annotated[float, AtLeast(0)] = 0.4,
    contrast: Annotated[float, AtLeast(0)] = 0.4,
    saturation: Annotated[float, AtLeast(0)] = 0.4,
    hue: Annotated[float, AtLeast(0)] = 0.1,
) -> Recipe:
    """Every training image gets its own brightness, contrast, saturation and hue, changed in its own random order.

    Factors ~ U(max(0, 1 - a), 1 + a) with a = magnitude * brightness and so on, and a turn of the hue ~ U(-h, h) of
    the color circle with h = min(1/2, magnitude * hue). torchvision and kornia draw one order for a whole call, as
    Szegedy et al. it is random. Images of one channel have no saturation and no hue.

    Args:
        magnitude: the strength: scales all four.
        brightness, contrast, saturation: largest relative change at magnitude 1.
        hue: largest turn at magnitude 1, as a share of the color circle.

    Raises:
        UnfitError: the dataset holds no images, or colors decide their labels.
    """
    change = magnitude * torch.tensor([brightness, contrast, saturation, hue])
    low = torch.cat([(1 - change[:3]).clamp_min(0), -change[3:].clamp_max(HALF_CIRCLE)])
    high = torch.cat([1 + change[:3], change[3:].clamp_max(HALF_CIRCLE)])

    def batch(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        order = torch.rand(len(x), 4).argsort(dim=1)
        return jitter(x, order, low + (high - low) * torch.rand(len(x), 4)), y

    return Recipe(batch=batch if magnitude else None)
