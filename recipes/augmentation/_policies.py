"""Augmentation policies: from a list of operations each image of a batch gets its own, with its own magnitude."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from recipes._core.recipe import Task, UnfitError
from recipes._core.transfer import to_device
from recipes.augmentation import _images as images

TRANSFORMATIONS = {
    "shear_x": "shear",
    "shear_y": "shear",
    "translate_x": "translate",
    "translate_y": "translate",
    "rotate": "rotate",
    "brightness": "color",
    "color": "color",
    "contrast": "color",
    "sharpness": "color",
    "autocontrast": "color",
    "equalize": "color",
    "posterize": "invert",
    "solarize": "invert",
    "invert": "invert",
}
"""Operations, and what each is among the transformations that a dataset's labels may survive."""
NAMES = tuple(TRANSFORMATIONS)
MOVES = 5
"""The first operations, which move pixels: all of them are done in one sampling."""
SIGNED = frozenset(NAMES[:9])
"""Operations that go both ways, so that their magnitude takes a random sign."""
IDENTITY = -1
"""Instead of the position of an operation: none."""

Run = Callable[[Tensor, Tensor], Tensor]
INTENSITIES: tuple[Run, ...] = (
    lambda x, m: images.brightness(x, 1 + m),
    lambda x, m: images.saturation(x, 1 + m),
    lambda x, m: images.contrast(x, 1 + m),
    lambda x, m: images.sharpness(x, 1 + m),
    lambda x, m: images.autocontrast(x),
    lambda x, m: images.equalize(x),
    lambda x, m: images.posterize(x, m.round()),
    images.solarize,
    lambda x, m: images.invert(x),
)
"""The other operations, on (n, C, H, W) images with (n,) magnitudes."""

Space = dict[str, tuple[float, float]]
"""Operations to choose from, with their magnitudes at level 0 and at level 1."""


def space(height: int, width: int, enhance: float = 0.9) -> Space:
    """The space of AutoAugment (Cubuk et al. 2019, Table 6) with torchvision's bounds, which RandAugment shares."""
    return {
        "identity": (0, 0),
        "shear_x": (0, 0.3),
        "shear_y": (0, 0.3),
        "translate_x": (0, 150 / 331 * width),
        "translate_y": (0, 150 / 331 * height),
        "rotate": (0, 30),
        **dict.fromkeys(("brightness", "color", "contrast", "sharpness"), (0, enhance)),
        "posterize": (8, 4),
        "solarize": (1, 0),
        "autocontrast": (0, 0),
        "equalize": (0, 0),
    }


def position(name: str) -> int:
    """Of an operation in `NAMES`."""
    return IDENTITY if name == "identity" else NAMES.index(name)


def permitted(names: Iterable[str], task: Task) -> list[str]:
    """The operations that keep the dataset's labels.

    Raises:
        UnfitError: none but the identity does.
    """
    kept = [name for name in names if name == "identity" or task.allows(TRANSFORMATIONS[name])]
    if set(kept) <= {"identity"}:
        raise UnfitError("none of the policy's operations keeps this dataset's labels")
    return kept


def only(names: Sequence[str], among: Space) -> Space:
    """The named part of a space."""
    return {name: among[name] for name in names}


def draw(among: Space, level: Tensor) -> tuple[Tensor, Tensor]:
    """Draw an operation for each level, every one of them equally likely, and the sign of its magnitude.

    Drawn on the CPU: the same on every device, and none has to be waited for.

    Args:
        among: what to choose from.
        level: in [0, 1], of any shape.

    Returns:
        Operations (as `position` gives them) and their magnitudes, shaped like `level`.
    """
    chosen = torch.randint(len(among), level.shape)
    which = torch.tensor([position(name) for name in among])[chosen]
    low, high = torch.tensor(list(among.values()), dtype=torch.float32).T
    magnitude = low[chosen] + (high - low)[chosen] * level
    return which, with_random_sign(which, magnitude)


def with_random_sign(which: Tensor, magnitude: Tensor) -> Tensor:
    """Negate, with probability 1/2, the magnitudes of operations that go both ways."""
    signed = torch.tensor([name in SIGNED for name in (*NAMES, "identity")])[which]
    return torch.where(signed & (torch.rand(which.shape) < 0.5), -magnitude, magnitude)


def apply_(x: Tensor, which: Tensor, magnitude: Tensor) -> None:
    """Apply to each image, in place, its own operation.

    Args:
        x: (N, C, H, W) in [0, 1].
        which: (N,) positions in `NAMES`, or `IDENTITY`, on the CPU.
        magnitude: (N,) in the units of the operation, on the CPU.
    """
    group = torch.where(which < MOVES, which.clamp(max=0), which - MOVES + 1)
    amounts = magnitude.new_zeros(len(x), MOVES).scatter_(1, which.clamp(0, MOVES - 1)[:, None], magnitude[:, None])
    apply_each_(x, group, amounts, GROUPS)


def _move(x: Tensor, amounts: Tensor) -> Tensor:
    slope_x, slope_y, right, down, degrees = amounts.unbind(1)
    return images.move(x, slope_x, slope_y, right.trunc(), down.trunc(), degrees)


def _on_sum(run: Run) -> Run:
    """Of its MOVES parameters an image has one that is not 0."""
    return lambda x, amounts: run(x, amounts.sum(1))


GROUPS = (_move, *map(_on_sum, INTENSITIES))


def apply_each_(x: Tensor, which: Tensor, parameters: Tensor, operations: Sequence[Run]) -> None:
    """Apply to each image, in place, its own operation: images with the same one are treated together.

    Args:
        x: (N, C, H, W).
        which: (N,) positions in `operations`, on the CPU; a negative one leaves the image as it is.
        parameters: (N, ...), on the CPU; an operation gets the rows of its images.
        operations: map images and parameters to images.
    """
    order = which.argsort()
    sizes = (which + 1).bincount(minlength=len(operations) + 1).tolist()
    groups = torch.split(to_device(order, x), sizes)[1:]
    strengths = torch.split(to_device(parameters[order], x, x.dtype), sizes)[1:]
    for run, rows, m in zip(operations, groups, strengths, strict=True):
        if len(rows):
            x.index_copy_(0, rows, run(x.index_select(0, rows), m))
