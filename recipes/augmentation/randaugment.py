"""RandAugment."""

from typing import Annotated

import torch
from torch import Tensor

from recipes._core.checks import In, Whole
from recipes._core.recipe import Recipe, Task
from recipes._core.registry import register
from recipes.augmentation._policies import apply_, draw, only, permitted, space

LARGEST = 30


@register(
    paper="Cubuk, Zoph, Shlens and Le 2020, RandAugment: Practical Automated Data Augmentation",
    reference="torchvision v2's operations and magnitudes for the draws made, image by image (spaces: test_policies).",
    strength="m",
    grid=(3.0, 6.0, 9.0, 14.0, 20.0, 30.0),
    off=0.0,
    needs=("image",),
)
def randaugment(n: Annotated[int, Whole(1, 100)] = 2, m: Annotated[float, In(0, 30)] = 9.0, *, task: Task) -> Recipe:
    """Every training image passes n operations of its own, drawn from 14, all with magnitude m out of 30.

    The operations, magnitudes and random signs are torchvision's: identity, shear, translation, rotation, brightness,
    color, contrast, sharpness, posterize, solarize, autocontrast and equalize. kornia draws operations for the whole
    batch. Geometry is bilinear as in timm and kornia (torchvision: nearest pixel), with black beyond the border.
    Operations that do not keep the dataset's labels are left out.

    Args:
        n: operations an image, N in the paper.
        m: the strength: M in the paper. 0 turns all off, the operations without a magnitude too.
        task: tells which operations keep the labels.

    Raises:
        UnfitError: the dataset holds no images, or no operation keeps their labels.
    """
    names = permitted(space(1, 1), task)

    def batch(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        among = only(names, space(*x.shape[2:]))
        x = x.clone()
        for _ in range(n):
            apply_(x, *draw(among, torch.full((len(x),), m / LARGEST)))
        return x, y

    return Recipe(batch=batch if m else None)
