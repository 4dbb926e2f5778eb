"""Adaptive sharpness-aware minimization."""

from torch import Tensor

from recipes._core.checks import require_at_least_0
from recipes._core.recipe import Recipe
from recipes._core.registry import register
from recipes.landscape._sharpness import sharpness_aware


@register(
    family="landscape",
    paper="Kwon, Kim, Park and Choi 2021, ASAM: Adaptive Sharpness-Aware Minimization",
    strength="rho",
    grid=(0.1, 0.2, 0.5, 1.0, 2.0, 4.0),
    off=0.0,
)
def asam(rho: float = 0.5, eta: float = 0.01) -> Recipe:
    """`sam` in a neighbourhood scaled by the weights: g(w + rho * T^2 g / |T g|) with T = |w| + eta.

    The scaling makes the neighbourhood blind to rescaling one layer against another. T is 1 for biases and
    normalization parameters; the authors' code scales the latter's factors too. Otherwise as `sam`.

    Args:
        rho: the strength: radius of the scaled neighbourhood; at least 0. About ten times `sam`'s.
        eta: keeps the scale of weights near zero above it; at least 0.

    Raises:
        ValueError: rho or eta is negative.
    """
    require_at_least_0("rho", rho)
    require_at_least_0("eta", eta)

    def scale(p: Tensor) -> Tensor | float:
        return p.detach().abs() + eta if p.ndim >= 2 else 1.0

    return sharpness_aware(rho, scale)
