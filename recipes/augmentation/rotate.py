"""Random rotation."""

import torch
from torch import Tensor

from recipes._core.checks import require
from recipes._core.recipe import Recipe
from recipes._core.registry import register
from recipes.augmentation import _images as images


@register(
    family="augmentation",
    paper="Simard, Steinkraus and Platt 2003, Best Practices for Convolutional Neural Networks",
    strength="degrees",
    grid=(2.0, 5.0, 10.0, 20.0, 45.0, 90.0),
    off=0.0,
    needs=("image", "rotate"),
)
def rotate(degrees: float = 10.0) -> Recipe:
    """Every training image is rotated about its centre by an angle of its own ~ U(-degrees, degrees).

    Bilinear, with black beyond the border. torchvision takes the nearest pixel by default, kornia interpolates.

    Args:
        degrees: the strength: the largest angle, in [0, 180].

    Raises:
        ValueError: degrees is outside [0, 180].
        UnfitError: the dataset holds no images, or rotation changes their labels.
    """
    require(0 <= degrees <= 180, "degrees", degrees, "in [0, 180]")

    def batch(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return images.rotate(x, degrees * (2 * torch.rand(len(x), device=x.device) - 1)), y

    return Recipe(batch=batch if degrees else None)
