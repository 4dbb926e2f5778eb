"""Mixup."""

from typing import Annotated

import torch
from torch import Tensor

from recipes._core.checks import AtLeast
from recipes._core.recipe import Recipe
from recipes._core.registry import register
from recipes._core.transfer import to_device
from recipes.mixing._mixing import draw_lambda, draw_shift


def mix(x: Tensor, shift: int, lam: Tensor) -> Tensor:
    """lam * x + (1 - lam) * partner, the partner being the row `shift` places before, cyclically.

    Args:
        x: (N, ...) inputs or targets.
        shift: the same for everything that belongs together.
        lam: (1,) for the batch or (N,) for its rows; 1 gives `x` itself.
    """
    lam = to_device(lam, x, x.dtype).view(-1, *[1] * (x.ndim - 1))
    return torch.lerp(x.roll(shift, 0), x, lam)


@register(
    paper="Zhang, Cisse, Dauphin and Lopez-Paz 2018, mixup: Beyond Empirical Risk Minimization",
    reference="the formula row by row; SciPy's Beta distribution; torchvision v2's MixUp at shift 1.",
    strength="alpha",
    grid=(0.05, 0.1, 0.2, 0.4, 1.0, 4.0),
    off=0.0,
)
def mixup(alpha: Annotated[float, AtLeast(0)] = 0.2, per_sample: bool = False) -> Recipe:
    """Inputs and targets are mixed with another sample's: x <- lam x + (1 - lam) x' and y likewise.

    lam ~ Beta(alpha, alpha), one a batch as in the paper's code and by default in torchvision and timm; kornia draws
    one a sample. The partner lies a random number of places before it in the batch, whose order is random: the
    paper's code permutes, torchvision takes the neighbour, timm the mirrored place.

    Args:
        alpha: the strength: 0 mixes nothing, 1 makes lambda uniform, large ones mix half and half.
        per_sample: draw a lambda for each sample.
    """

    def batch(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        lam, shift = draw_lambda(alpha, len(x) if per_sample else 1), draw_shift(len(x))
        return mix(x, shift, lam), mix(y, shift, lam)

    return Recipe(batch=batch, row_by_row=per_sample) if alpha else Recipe()
