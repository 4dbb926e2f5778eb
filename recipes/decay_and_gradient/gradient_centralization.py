"""Gradient centralization."""

from typing import Annotated

from torch import Tensor, nn

from recipes._core.checks import In
from recipes._core.recipe import Recipe, Turn
from recipes._core.registry import register
from recipes._core.slots import weights


def centralize(gradient: Tensor, alpha: float) -> Tensor:
    """Take alpha times its mean over all dimensions but 0 from the gradient of a weight."""
    return gradient - alpha * gradient.mean(dim=tuple(range(1, gradient.ndim)), keepdim=True)


@register(
    paper="Yong, Huang, Hua and Zhang 2020, Gradient Centralization: A New Optimization Technique for Deep Networks",
    reference="NumPy, unit by unit; the projection I - e e^T of the paper; the sums of weights, which SGD keeps.",
    strength="alpha",
    grid=(0.1, 0.25, 0.5, 0.75, 1.0),
    off=0.0,
)
def gradient_centralization(alpha: Annotated[float, In(0, 1)] = 1.0) -> Recipe:
    """Each unit's gradient loses its mean: g_i <- g_i - alpha * mean(g_i) over the incoming weights of unit i.

    On linear and convolutional weights before the optimizer, as in the authors' SGD and Adam. At alpha = 1, the paper's
    only value, SGD then keeps each unit's sum of weights as it was at the start.

    Args:
        alpha: the strength: the share of the mean that is taken away.
    """

    def gradient(net: nn.Module) -> None:
        for w in weights(net):
            if w.grad is not None:
                w.grad.copy_(centralize(w.grad, alpha))

    return Recipe(gradient=gradient if alpha else None, turn=Turn.SUBSPACE)
