"""Random rotation, translation and, where labels allow it, horizontal flips."""

import math

import torch
from torch import Tensor

from recipes._core.checks import require, require_at_least_0
from recipes._core.recipe import Recipe, Task
from recipes._core.registry import register
from recipes.augmentation._images import affine


@register(
    family="augmentation",
    paper="Simard, Steinkraus and Platt 2003, Best Practices for Convolutional Neural Networks; Krizhevsky et al. 2012",
    strength="magnitude",
    grid=(0.25, 0.5, 1.0, 2.0, 4.0),
    off=0.0,
    needs=("image", "rotate", "translate"),
)
def augment(
    magnitude: float = 1.0,
    degrees: float = 10.0,
    translate: float = 0.08,
    hflip: float = 0.5,
    *,
    task: Task,
) -> Recipe:
    """Every training image is rotated, shifted and, where labels allow it, mirrored at random.

    Each image of a batch draws its own angle ~ U(-a, a) with a = magnitude * degrees, its own shift ~ U(-t, t) with
    t = magnitude * translate in both directions, and a flip with probability min(1, magnitude) * hflip.

    Args:
        magnitude: the strength: scales all of them; at least 0.
        degrees: largest rotation at magnitude 1, in degrees; at least 0.
        translate: largest shift at magnitude 1, as a share of the side; at least 0.
        hflip: probability of a horizontal flip, in [0, 1]; 0 where a flip does not keep the dataset's labels.
        task: tells whether a flip is allowed.

    Raises:
        ValueError: an argument is out of its range.
        UnfitError: the dataset holds no images, or rotation or translation change their labels.
    """
    for name, value in {"magnitude": magnitude, "degrees": degrees, "translate": translate}.items():
        require_at_least_0(name, value)
    require(0 <= hflip <= 1, "hflip", hflip, "in [0, 1]")
    p_mirror = min(1.0, magnitude) * hflip * task.allows("hflip")

    def batch(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        n = len(x)
        angle, right, down = (2 * torch.rand(3, n, device=x.device, dtype=x.dtype) - 1) * magnitude
        shift = torch.stack([right, down], dim=1) * translate
        mirror = torch.rand(n, device=x.device) < p_mirror
        return affine(x, angle * math.radians(degrees), shift, mirror), y

    return Recipe(batch=batch if magnitude else None)
