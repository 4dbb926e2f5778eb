"""Random horizontal flips."""

from typing import Annotated

import torch
from torch import Tensor

from recipes._core.checks import In
from recipes._core.recipe import Recipe
from recipes._core.registry import register
from recipes.augmentation._images import mirror


@register(
    paper="Krizhevsky, Sutskever and Hinton 2012, ImageNet Classification with Deep Convolutional Neural Networks",
    reference="torchvision v2's horizontal_flip, image by image; the binomial distribution of flips.",
    strength="p",
    grid=(0.05, 0.1, 0.25, 0.5, 0.75, 1.0),
    off=0.0,
    needs=("image", "hflip"),
)
def hflip(p: Annotated[float, In(0, 1)] = 0.5) -> Recipe:
    """Every training image is flipped left to right with probability p.

    Args:
        p: the strength: the probability of a flip; at 1/2 both sides are seen equally often, at 1 the network never
            sees an image as it is.

    Raises:
        UnfitError: the dataset holds no images, or a flip changes their labels.
    """

    def batch(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return mirror(x, torch.rand(len(x), device=x.device) < p), y

    return Recipe(batch=batch if p else None)
