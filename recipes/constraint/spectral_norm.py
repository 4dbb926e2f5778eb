"""A bound on the largest singular value of each layer."""

from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recipes._core.checks import Above
from recipes._core.recipe import Recipe
from recipes._core.registry import register
from recipes._core.surgery import reparametrize, weighted

FIRST_ITERATIONS = 15
"""Of the power method, before training; one follows in each training pass, for weights move slowly."""


def bound(w: Tensor, v: Tensor, c: float) -> Tensor:
    """w / max(1, sigma / c), where sigma = |w v| is the largest singular value.

    Args:
        w: (units, ...), as a matrix (units, incoming weights).
        v: (incoming weights,), the first right singular vector, of norm 1.
        c: the bound.
    """
    sigma = torch.linalg.vector_norm(w.flatten(1) @ v)
    bounded: Tensor = w / (sigma / c).clamp_min(1)
    return bounded


def iterate(w: Tensor, v: Tensor) -> Tensor:
    """One step of the power method towards the first right singular vector of the matrix w: w^T w v, normalized."""
    product = F.normalize(w.T @ (w @ v), dim=0)
    # A layer that starts at zero would lose the direction for good.
    return torch.where(product.any(), product, v)


class Bounded(nn.Module):
    """Weights with a bounded spectral norm. Only training passes iterate, so that evaluation changes nothing."""

    def __init__(self, w: Tensor, c: float) -> None:
        super().__init__()
        self.c = c
        self.v: Tensor
        self.register_buffer("v", F.normalize(torch.randn_like(w[0].flatten()), dim=0))
        for _ in range(FIRST_ITERATIONS):
            self.refine(w)

    @torch.no_grad()
    def refine(self, w: Tensor) -> None:
        self.v = iterate(w.flatten(1), self.v)

    def forward(self, w: Tensor) -> Tensor:
        with torch.autocast(w.device.type, enabled=False):
            if self.training:
                self.refine(w)
            # An average of weights may average v too, whose norm then falls below 1.
            return bound(w, F.normalize(self.v, dim=0), self.c)


@register(
    paper="Miyato, Kataoka, Koyama and Yoshida 2018, Spectral Normalization; Gouk, Frank, Pfahringer and Cree 2021, "
    "Regularisation of Neural Networks by Enforcing Lipschitz Continuity",
    reference="`torch.linalg.matrix_norm` (SVD), and `parametrizations.spectral_norm` where the bound is active.",
    strength="c",
    grid=(4.0, 3.0, 2.0, 1.5, 1.0, 0.5),
    off=None,
)
def spectral_norm(c: Annotated[float | None, Above(0)] = 2.0) -> Recipe:
    """No layer stretches its input by more than c: w <- w / max(1, sigma(w) / c), sigma the largest singular value.

    Miyato et al. divide by sigma always, which fixes it at 1; Gouk et al. only bound it, which leaves small weights
    alone and gives a strength. As in the former (and torch's `spectral_norm`) the division is part of the network, so
    that gradients pass through it, and a convolution is the matrix (output channels, all others). On all linear and
    convolutional layers; batch norm after a layer, as in `resnet18`, undoes the bound. In training v follows the
    weights that each pass sees, and evaluation takes it as it is: for weights that differ from those (averages, or
    noise and masks put in front) the bound holds to some percent, and a recipe after it that changes the bounded
    weights, as `weight_standardization`, undoes it.

    Args:
        c: the strength, the smaller the stronger: the largest singular value allowed; `None`: no bound.
    """
    if c is None:
        return Recipe()

    def model(net: nn.Module) -> nn.Module:
        for layer in weighted(net):
            reparametrize(layer, lambda w: Bounded(w, c))
        return net

    return Recipe(model=model)
