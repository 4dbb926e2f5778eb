"""Random shifts."""

from typing import Annotated

import torch
from torch import Tensor

from recipes._core.checks import In
from recipes._core.recipe import Recipe
from recipes._core.registry import register
from recipes.augmentation import _images as images


@register(
    paper="LeCun, Bottou, Bengio and Haffner 1998, Gradient-Based Learning Applied to Document Recognition",
    reference="torchvision v2's affine for shifts by whole pixels, bilinear weights by hand; moments of the shifts.",
    strength="share",
    grid=(0.02, 0.05, 0.1, 0.2, 0.35, 0.5),
    off=0.0,
    needs=("image", "translate"),
)
def translate(share: Annotated[float, In(0, 1)] = 0.1) -> Recipe:
    """Every training image is shifted by its own amount ~ U(-share, share) of the side, in both directions.

    By parts of pixels, bilinearly, with black beyond the border, as kornia does; torchvision's RandomAffine rounds to
    whole pixels, which on small images leaves few different shifts. For whole pixels see `crop`.

    Args:
        share: the strength: the largest shift as a share of width and height.

    Raises:
        UnfitError: the dataset holds no images, or shifts change their labels.
    """

    def batch(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        right, down = share * (2 * torch.rand(2, len(x), device=x.device) - 1)
        return images.translate(x, right * x.shape[3], down * x.shape[2]), y

    return Recipe(batch=batch if share else None)
