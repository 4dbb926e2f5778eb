"""Adaptive gradient clipping."""

from typing import Annotated

import torch
from torch import Tensor, nn

from recipes._core.checks import Above
from recipes._core.recipe import Recipe, Turn, UnfitError
from recipes._core.registry import register

EPSILON = 1e-3
"""The norm that a unit counts as having at least, so that zero-initialized ones can leave zero; as in the paper."""


def unit_norm(w: Tensor) -> Tensor:
    """Norm of each unit's weights, over all dimensions but 0; a vector (a bias) is one unit. Broadcasts to `w`."""
    norm: Tensor = torch.linalg.vector_norm(w, dim=tuple(range(1, w.ndim)) or None, keepdim=w.ndim > 1)
    return norm


def clip(gradient: Tensor, w: Tensor, lam: float) -> Tensor:
    """The gradient, each unit's part shortened to lam times the norm of the unit's weights."""
    allowed = lam * unit_norm(w).clamp_min(EPSILON)
    return gradient * (allowed / unit_norm(gradient).clamp_min(1e-6)).clamp_max(1)


def before_output(net: nn.Module) -> list[nn.Parameter]:
    """All parameters but those of the last linear layer."""
    linear = [m for m in net.modules() if isinstance(m, nn.Linear)]
    output = set(linear[-1].parameters()) if linear else set()
    return [p for p in net.parameters() if p not in output]


@register(
    paper="Brock, De, Smith and Simonyan 2021, High-Performance Large-Scale Image Recognition Without Normalization",
    reference="`timm.utils.adaptive_clip_grad`.",
    strength="lam",
    grid=(0.16, 0.08, 0.04, 0.01, 0.003, 0.001),
    off=None,
)
def adaptive_gradient_clipping(lam: Annotated[float | None, Above(0)] = 0.02) -> Recipe:
    """A unit's gradient is clipped relative to its weights: g_i <- g_i * min(1, lam * |w_i| / |g_i|) for each unit i.

    |w_i| counts as at least 0.001. A unit is a row of a weight or a whole bias; all but the last linear layer, as in
    the paper (NFNet). timm's `adaptive_clip_grad` clips whatever it is given.

    Args:
        lam: lambda, the strength, the smaller the stronger: the largest ratio of norms; `None` clips nothing. The paper
            takes 0.01 to 0.16, smaller for larger batches.

    Raises:
        UnfitError: the network has no layer but the output layer.
    """
    if lam is None:
        return Recipe()

    def model(net: nn.Module) -> nn.Module:
        if not before_output(net):
            raise UnfitError("adaptive_gradient_clipping: this network has no layer before its output layer")
        return net

    @torch.no_grad()
    def gradient(net: nn.Module) -> None:
        for p in before_output(net):
            if p.grad is not None:
                p.grad.copy_(clip(p.grad, p, lam))

    return Recipe(model=model, gradient=gradient, turn=Turn.BOUND_UNITS)
