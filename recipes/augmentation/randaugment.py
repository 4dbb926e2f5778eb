"""RandAugment."""

import torch
from torch import Tensor

from recipes._core.checks import require
from recipes._core.recipe import Recipe, Task
from recipes._core.registry import register
from recipes.augmentation._policies import apply_, draw, only, permitted, space

LARGEST = 30


@register(
    family="augmentation",
    paper="Cubuk, Zoph, Shlens and Le 2020, RandAugment: Practical Automated Data Augmentation",
    strength="m",
    grid=(3.0, 6.0, 9.0, 14.0, 20.0, 30.0),
    off=0.0,
    needs=("image",),
)
def randaugment(n: int = 2, m: float = 9.0, *, task: Task) -> Recipe:
    """Every training image passes n operations of its own, drawn from 14, all with magnitude m out of 30.

    The operations, magnitudes and random signs are torchvision's: identity, shear, translation, rotation, brightness,
    color, contrast, sharpness, posterize, solarize, autocontrast and equalize. kornia draws operations for the whole
    batch. Geometry is bilinear as in timm and kornia (torchvision: nearest pixel), with black beyond the border.
    Operations that do not keep the dataset's labels are left out.

    Args:
        n: operations an image, N in the paper; at least 1.
        m: the strength: M in the paper, in [0, 30]. 0 turns all off, the operations without a magnitude too.
        task: tells which operations keep the labels.

    Raises:
        ValueError: n or m is out of its range.
        UnfitError: the dataset holds no images, or no operation keeps their labels.
    """
    require(n >= 1, "n", n, "at least 1")
    require(0 <= m <= LARGEST, "m", m, f"in [0, {LARGEST}]")
    names = permitted(space(1, 1), task)

    def batch(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        among = only(names, space(*x.shape[2:]))
        x = x.clone()
        for _ in range(n):
            apply_(x, *draw(among, torch.full((len(x),), m / LARGEST)))
        return x, y

    return Recipe(batch=batch if m else None)
