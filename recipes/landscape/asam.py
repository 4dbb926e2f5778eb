"""Adaptive sharpness-aware minimization."""

from typing import Annotated

from torch import Tensor

from recipes._core.checks import AtLeast
from recipes._core.recipe import Recipe, Turn
from recipes._core.registry import register
from recipes.landscape._sharpness import sharpness_aware


@register(
    paper="Kwon, Kim, Park and Choi 2021, ASAM: Adaptive Sharpness-Aware Minimization",
    reference="a plain two-pass loop with the scaled neighbourhood, in `test_sam.py`; here the property that names it.",
    strength="rho",
    grid=(0.1, 0.2, 0.5, 1.0, 2.0, 4.0),
    off=0.0,
)
def asam(rho: Annotated[float, AtLeast(0)] = 0.5, eta: Annotated[float, AtLeast(0)] = 0.01) -> Recipe:
    """`sam` in a neighbourhood scaled by the weights: g(w + rho * T^2 g / |T g|) with T = |w| + eta.

    The scaling makes the neighbourhood blind to rescaling one layer against another. T is 1 for biases and
    normalization parameters; the authors' code scales the latter's factors too. Otherwise as `sam`.

    Args:
        rho: the strength: radius of the scaled neighbourhood. About ten times `sam`'s.
        eta: keeps the scale of weights near zero above it.
    """

    def scale(p: Tensor) -> Tensor | float:
        return p.detach().abs() + eta if p.ndim >= 2 else 1.0

    return sharpness_aware(rho, scale, Turn.SCALED_CLIMB)
