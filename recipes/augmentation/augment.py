"""Random rotation, translation and, where labels allow it, horizontal flips."""

import math
from typing import Annotated

import torch
from torch import Tensor

from recipes._core.checks import AtLeast, In
from recipes._core.recipe import Recipe, Task
from recipes._core.registry import register
from recipes.augmentation._images import affine


@register(
    paper="Simard, Steinkraus and Platt 2003, Best Practices for Convolutional Neural Networks; Krizhevsky et al. 2012",
    reference="torchvision v2's affine and flip, image by image, for the parameters drawn; their moments.",
    strength="magnitude",
    grid=(0.25, 0.5, 1.0, 2.0, 4.0),
    off=0.0,
    needs=("image", "rotate", "translate"),
)
def augment(
    magnitude: Annotated[float, AtLeast(0)] = 1.0,
    degrees: Annotated[float, AtLeast(0)] = 10.0,
    translate: Annotated[float, AtLeast(0)] = 0.08,
    hflip: Annotated[float, In(0, 1)] = 0.5,
    *,
    task: Task,
) -> Recipe:
    """Every training image is rotated, shifted and, where labels allow it, mirrored at random.

    Each image of a batch draws its own angle ~ U(-a, a) with a = magnitude * degrees, its own shift ~ U(-t, t) with
    t = magnitude * translate in both directions, and a flip with probability min(1, magnitude) * hflip.

    Args:
        magnitude: the strength: scales all of them.
        degrees: largest rotation at magnitude 1, in degrees.
        translate: largest shift at magnitude 1, as a share of the side.
        hflip: probability of a horizontal flip; 0 where a flip does not keep the dataset's labels.
        task: tells whether a flip is allowed.

    Raises:
        UnfitError: the dataset holds no images, or rotation or translation change their labels.
    """
    p_mirror = min(1.0, magnitude) * hflip * task.allows("hflip")

    def batch(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        n = len(x)
        angle, right, down = (2 * torch.rand(3, n, device=x.device, dtype=x.dtype) - 1) * magnitude
        shift = torch.stack([right, down], dim=1) * translate
        mirror = torch.rand(n, device=x.device) < p_mirror
        return affine(x, angle * math.radians(degrees), shift, mirror), y

    return Recipe(batch=batch if magnitude else None)
