"""TrivialAugment."""

from typing import Annotated

import torch
from torch import Tensor

from recipes._core.checks import In
from recipes._core.recipe import Recipe, Task
from recipes._core.registry import register
from recipes.augmentation._policies import IDENTITY, Space, apply_, draw, only, permitted, space

LEVELS = 31
PIXELS = 32
"""The paper shifts by up to 32 pixels, whatever the size of the image."""


def wide_space(height: int, width: int) -> Space:
    """The space "Wide" of the paper's Table 7; on images of less than 32 pixels shifts end at the side's length."""
    return {
        **space(height, width, enhance=0.99),
        "shear_x": (0, 0.99),
        "shear_y": (0, 0.99),
        "translate_x": (0, min(PIXELS, width)),
        "translate_y": (0, min(PIXELS, height)),
        "rotate": (0, 135),
        "posterize": (8, 2),
    }


@register(
    paper="Müller and Hutter 2021, TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation",
    reference="torchvision v2's operations and magnitudes for the draws made, image by image (spaces: test_policies).",
    strength="p",
    grid=(0.1, 0.25, 0.5, 0.75, 1.0),
    off=0.0,
    needs=("image",),
)
def trivialaugment(p: Annotated[float, In(0, 1)] = 1.0, *, task: Task) -> Recipe:
    """Every training image passes one operation of its own, drawn from 14, with a magnitude of its own.

    The space "Wide" with torchvision's bounds and 31 magnitudes; the operations are those of `randaugment`, and those
    that do not keep the dataset's labels are left out. The paper has nothing to tune: p = 1.

    Args:
        p: the strength: the probability that an image is augmented at all.
        task: tells which operations keep the labels.

    Raises:
        UnfitError: the dataset holds no images, or no operation keeps their labels.
    """
    names = permitted(wide_space(1, 1), task)

    def batch(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        level = torch.randint(LEVELS, (len(x),)) / (LEVELS - 1)
        which, magnitude = draw(only(names, wide_space(*x.shape[2:])), level)
        which = torch.where(torch.rand(len(x)) < p, which, IDENTITY)
        x = x.clone()
        apply_(x, which, magnitude)
        return x, y

    return Recipe(batch=batch if p else None)
