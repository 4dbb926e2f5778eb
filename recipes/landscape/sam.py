"""Sharpness-aware minimization."""

from typing import Annotated

from recipes._core.checks import AtLeast
from recipes._core.recipe import Recipe, Turn
from recipes._core.registry import register
from recipes.landscape._sharpness import sharpness_aware


@register(
    paper="Foret, Kleiner, Mobahi and Neyshabur 2021, Sharpness-Aware Minimization",
    reference="two steps by hand on a quadratic, and a plain two-pass loop on a network.",
    strength="rho",
    grid=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    off=0.0,
)
def sam(rho: Annotated[float, AtLeast(0)] = 0.05) -> Recipe:
    """Steps by the gradient at the worst nearby weights: g(w + rho * g / |g|); each step costs two passes.

    Both passes see the same batch and the same random masks; batch norm's running statistics move in the first only.
    With several processes all climb along the gradient of the whole batch; the paper's m-sharpness lets each climb
    along its own share's, which is a little stronger. Gradient scaling (16-mixed) is refused.

    Args:
        rho: the strength: radius of the neighbourhood in the weights' Euclidean norm.
    """
    return sharpness_aware(rho, lambda p: 1.0, Turn.CLIMB)
