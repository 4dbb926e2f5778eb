"""Weights with mean zero and a fixed variance."""

import math

import torch
from torch import Tensor, nn

from recipes._core.recipe import Recipe, UnfitError
from recipes._core.registry import register
from recipes._core.surgery import reparametrize, weighted

GAIN = math.sqrt(2 / (1 - 1 / math.pi))
"""1 / standard deviation of ReLU(N(0, 1)): keeps the variance from layer to layer (Brock et al. 2021)."""
EPS = 1e-6
"""Added to the variance; timm's value."""


def standardize(w: Tensor) -> Tensor:
    """(w - mean) / std over the incoming weights of each unit: all dimensions but 0 of w."""
    var, mean = torch.var_mean(w, tuple(range(1, w.ndim)), correction=0, keepdim=True)
    return (w - mean) / (var + EPS).sqrt()


class Standardized(nn.Module):
    """Standardized weights times gain / sqrt(fan-in)."""

    def forward(self, w: Tensor) -> Tensor:
        return standardize(w) * (GAIN / math.sqrt(w[0].numel()))


@register(
    paper="Qiao, Wang, Liu, Shen and Yuille 2019, Weight Standardization; Brock, De and Smith 2021, Characterizing "
    "Signal Propagation to Close the Performance Gap in Unnormalized ResNets",
    reference="timm's `StdConv2d` and `ScaledStdConv2d`.",
)
def weight_standardization() -> Recipe:
    """Each hidden unit's incoming weights are standardized: w <- 1.71 / sqrt(fan-in) * (w - mean) / std.

    In all layers but the last: the papers' convolutions, and here the linear layers too. Qiao et al. have no factor
    before it, since normalization of the activations follows, which undoes any factor; the one of Brock et al.
    (1 / sqrt(fan-in), times the gain of ReLU) keeps activations at their scale where none follows. The variance is the
    biased one, as in the paper and timm; the authors' code takes the unbiased one. It has no strength.

    Raises:
        UnfitError: the network has no hidden layer.
    """

    def model(net: nn.Module) -> nn.Module:
        hidden = weighted(net)[:-1]
        if not hidden:
            raise UnfitError("weight_standardization: this network has no hidden layers")
        for layer in hidden:
            reparametrize(layer, lambda _: Standardized())
        return net

    return Recipe(model=model)
