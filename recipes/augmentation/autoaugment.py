"""AutoAugment's policy for CIFAR-10."""

from typing import Annotated

import torch
from torch import Tensor

from recipes._core.checks import In
from recipes._core.recipe import Recipe, Task
from recipes._core.registry import register
from recipes.augmentation._policies import IDENTITY, apply_, permitted, position, space, with_random_sign

Step = tuple[str, float, int]
POLICY: tuple[tuple[Step, Step], ...] = (
    (("invert", 0.1, 7), ("contrast", 0.2, 6)),
    (("rotate", 0.7, 2), ("translate_x", 0.3, 9)),
    (("sharpness", 0.8, 1), ("sharpness", 0.9, 3)),
    (("shear_y", 0.5, 8), ("translate_y", 0.7, 9)),
    (("autocontrast", 0.5, 8), ("equalize", 0.9, 2)),
    (("shear_y", 0.2, 7), ("posterize", 0.3, 7)),
    (("color", 0.4, 3), ("brightness", 0.6, 7)),
    (("sharpness", 0.3, 9), ("brightness", 0.7, 9)),
    (("equalize", 0.6, 5), ("equalize", 0.5, 1)),
    (("contrast", 0.6, 7), ("sharpness", 0.6, 5)),
    (("color", 0.7, 7), ("translate_x", 0.5, 8)),
    (("equalize", 0.3, 7), ("autocontrast", 0.4, 8)),
    (("translate_y", 0.4, 3), ("sharpness", 0.2, 6)),
    (("brightness", 0.9, 6), ("color", 0.2, 8)),
    (("solarize", 0.5, 2), ("invert", 0.0, 3)),
    (("equalize", 0.2, 0), ("autocontrast", 0.6, 0)),
    (("equalize", 0.2, 8), ("equalize", 0.6, 4)),
    (("color", 0.9, 9), ("equalize", 0.6, 6)),
    (("autocontrast", 0.8, 4), ("solarize", 0.2, 8)),
    (("brightness", 0.1, 3), ("color", 0.7, 0)),
    (("solarize", 0.4, 5), ("autocontrast", 0.9, 3)),
    (("translate_y", 0.9, 9), ("translate_y", 0.7, 9)),
    (("autocontrast", 0.9, 2), ("solarize", 0.8, 3)),
    (("equalize", 0.8, 8), ("invert", 0.1, 3)),
    (("translate_y", 0.7, 9), ("autocontrast", 0.9, 1)),
)
"""Table 7 of the paper: 25 sub-policies of two steps (operation, probability, level out of 9)."""
LARGEST = 9


def magnitudes(height: int, width: int) -> Tensor:
    """(25, 2) magnitudes of the policy's steps on images of that size."""
    bounds = {**space(height, width), "invert": (0, 0)}
    rows = [[(bounds[name], level / LARGEST) for name, _, level in pair] for pair in POLICY]
    return torch.tensor([[low + (high - low) * share for (low, high), share in row] for row in rows])


@register(
    paper="Cubuk, Zoph, Mané, Vasudevan and Le 2019, AutoAugment: Learning Augmentation Strategies from Data",
    reference="torchvision v2's CIFAR-10 policy, its table and its operations, image by image.",
    strength="p",
    grid=(0.1, 0.25, 0.5, 0.75, 1.0),
    off=0.0,
    needs=("image",),
)
def autoaugment(p: Annotated[float, In(0, 1)] = 1.0, *, task: Task) -> Recipe:
    """Every training image passes one of the 25 pairs of operations that were learned on CIFAR-10.

    Magnitudes and their random signs as in torchvision; in the paper's code color, brightness, contrast and sharpness
    go one way only. Geometry is bilinear, with black beyond the border. Steps that do not keep the dataset's labels
    are left out. It was learned for photographs: on other images it is a policy like any other.

    Args:
        p: the strength: the probability that an image is augmented at all; 1 in the paper.
        task: tells which operations keep the labels.

    Raises:
        UnfitError: the dataset holds no images, or no operation keeps their labels.
    """
    kept = permitted([name for pair in POLICY for name, _, _ in pair], task)
    operations = torch.tensor([[position(n) if n in kept else IDENTITY for n, _, _ in pair] for pair in POLICY])
    chances = torch.tensor([[chance for _, chance, _ in pair] for pair in POLICY])

    def batch(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        n, strengths = len(x), magnitudes(*x.shape[2:])
        chosen, augmented = torch.randint(len(POLICY), (n,)), torch.rand(n) < p
        x = x.clone()
        for step in (0, 1):
            taken = augmented & (torch.rand(n) < chances[chosen, step])
            which = torch.where(taken, operations[chosen, step], IDENTITY)
            apply_(x, which, with_random_sign(which, strengths[chosen, step]))
        return x, y

    return Recipe(batch=batch if p else None)
