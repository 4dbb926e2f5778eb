"""Random rotation."""

from typing import Annotated

import torch
from torch import Tensor

from recipes._core.checks import In
from recipes._core.recipe import Recipe
from recipes._core.registry import register
from recipes.augmentation import _images as images


@register(
    paper="Simard, Steinkraus and Platt 2003, Best Practices for Convolutional Neural Networks",
    reference="torchvision v2's rotate, image by image, for the angles drawn; moments of the uniform distribution.",
    strength="degrees",
    grid=(2.0, 5.0, 10.0, 20.0, 45.0, 90.0),
    off=0.0,
    needs=("image", "rotate"),
)
def rotate(degrees: Annotated[float, In(0, 180)] = 10.0) -> Recipe:
    """Every training image is rotated about its centre by an angle of its own ~ U(-degrees, degrees).

    Bilinear, with black beyond the border. torchvision takes the nearest pixel by default, kornia interpolates.

    Args:
        degrees: the strength: the largest angle.

    Raises:
        UnfitError: the dataset holds no images, or rotation changes their labels.
    """

    def batch(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return images.rotate(x, degrees * (2 * torch.rand(len(x), device=x.device) - 1)), y

    return Recipe(batch=batch if degrees else None)
