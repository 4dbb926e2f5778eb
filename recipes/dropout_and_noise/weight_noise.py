"""Gaussian noise on the weights."""

from typing import Annotated

import torch
from torch import Tensor, nn

from recipes._core.checks import AtLeast
from recipes._core.recipe import Recipe
from recipes._core.registry import register
from recipes._core.surgery import reparametrize, weighted


class Noise(nn.Module):
    """Adds sigma * N(0, 1) to each weight, in training mode; any shape."""

    def __init__(self, sigma: float) -> None:
        super().__init__()
        self.sigma = sigma

    def forward(self, w: Tensor) -> Tensor:
        return w + self.sigma * torch.randn_like(w) if self.training else w


@register(
    paper="Murray and Edwards 1994, Enhanced MLP Performance and Fault Tolerance Resulting from Synaptic Weight "
    "Noise during Training; Graves 2011, Practical Variational Inference for Neural Networks",
    reference="SciPy's normal distribution, and `torch.nn.functional.linear` with the noise written out.",
    strength="sigma",
    grid=(0.003, 0.01, 0.03, 0.05, 0.075, 0.15),
    off=0.0,
)
def weight_noise(sigma: Annotated[float, AtLeast(0)] = 0.03) -> Recipe:
    """Each training pass sees noisy weights: w <- w + sigma * N(0, 1), which favors flat minima.

    On the weights of all linear and convolutional layers, one draw for a whole batch; biases stay clean, and so does
    evaluation. Graves, Mohamed and Hinton (2013) use sigma = 0.075, once a sequence.

    Args:
        sigma: the strength: the noise's standard deviation, in units of the weights.
    """

    def model(net: nn.Module) -> nn.Module:
        for layer in weighted(net):
            reparametrize(layer, lambda _: Noise(sigma))
        return net

    return Recipe(model=model if sigma else None)
