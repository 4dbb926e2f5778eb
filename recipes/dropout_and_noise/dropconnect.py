"""Dropout of single connections."""

from typing import Annotated

import torch
from torch import Tensor, nn

from recipes._core.checks import In
from recipes._core.recipe import Recipe, UnfitError
from recipes._core.registry import register
from recipes._core.surgery import reparametrize, weighted


def drop_weights(w: Tensor, p: float) -> Tensor:
    """Zero each weight with probability p and scale the rest by 1 / (1 - p); any shape."""
    return w * (torch.rand_like(w) >= p) / (1 - p)


class Connections(nn.Module):
    """The weights that a pass uses: some of them in training mode, all of them in evaluation."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, w: Tensor) -> Tensor:
        return drop_weights(w, self.p) if self.training else w


@register(
    paper="Wan, Zeiler, Zhang, LeCun and Fergus 2013, Regularization of Neural Networks using DropConnect",
    reference="`torch.nn.functional.linear` with the mask written out, and `F.dropout`'s rate on the weights.",
    strength="p",
    grid=(0.05, 0.1, 0.2, 0.3, 0.5, 0.7),
    off=0.0,
)
def dropconnect(p: Annotated[float, In(0, 1, right=False)] = 0.3) -> Recipe:
    """Weights and biases of hidden fully connected layers are dropped: w <- w * Bernoulli(1 - p) / (1 - p).

    Never in the output layer, as in the paper. One mask for a whole batch, drawn anew in each pass: the paper draws one
    for each sample, which takes N times the layer's memory. Evaluation uses the mean weights; the paper samples from a
    Gaussian fitted to the hidden units' inputs.

    Args:
        p: the strength: the probability that a weight is dropped.

    Raises:
        UnfitError: the network has no hidden fully connected layer.
    """

    def model(net: nn.Module) -> nn.Module:
        hidden = [layer for layer in weighted(net)[:-1] if isinstance(layer, nn.Linear)]
        if not hidden:
            raise UnfitError("dropconnect: this network has no hidden fully connected layer")
        for layer in hidden:
            for name in ("weight",) if layer.bias is None else ("weight", "bias"):
                reparametrize(layer, lambda _: Connections(p), name)
        return net

    return Recipe(model=model if p else None)
