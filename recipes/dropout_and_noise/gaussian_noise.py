"""Gaussian noise on the inputs."""

from typing import Annotated

import torch
from torch import Tensor

from recipes._core.checks import AtLeast
from recipes._core.recipe import Recipe
from recipes._core.registry import register


@register(
    paper="Bishop 1995, Training with Noise is Equivalent to Tikhonov Regularization",
    reference="SciPy's Kolmogorov-Smirnov test against the normal distribution.",
    strength="sigma",
    grid=(0.01, 0.03, 0.1, 0.2, 0.4, 0.8),
    off=0.0,
)
def gaussian_noise(sigma: Annotated[float, AtLeast(0)] = 0.1) -> Recipe:
    """Training inputs are blurred by noise: x <- x + sigma * N(0, 1), drawn anew for each value and step.

    Not clipped to [0, 1], so that its mean stays zero.

    Args:
        sigma: the strength: the noise's standard deviation in units of the input (pixels lie in [0, 1]).
    """

    def batch(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return x + sigma * torch.randn_like(x), y

    return Recipe(batch=batch if sigma else None)
