"""Gradient clipping by the global norm."""

from typing import Annotated

from torch import nn

from recipes._core.checks import Above
from recipes._core.recipe import Recipe, Turn
from recipes._core.registry import register


@register(
    paper="Pascanu, Mikolov and Bengio 2013, On the Difficulty of Training Recurrent Neural Networks",
    reference="the closed form in NumPy on all gradients as one vector.",
    strength="max_norm",
    grid=(3.0, 1.0, 0.3, 0.1, 0.03, 0.01),
    off=None,
)
def gradient_clipping(max_norm: Annotated[float | None, Above(0)] = 1.0) -> Recipe:
    """Long gradients are shortened: g <- g * min(1, max_norm / |g|), g the gradient of all parameters together.

    Once a step, on the whole batch's gradient. By `torch.nn.utils.clip_grad_norm_`, which adds 1e-6 to |g|.
    Adam's steps do not depend on the scale of gradients: there clipping only keeps single batches from outweighing.

    Args:
        max_norm: the strength, the smaller the stronger: the largest norm; `None` clips nothing.
    """
    if max_norm is None:
        return Recipe()

    def gradient(net: nn.Module) -> None:
        nn.utils.clip_grad_norm_(net.parameters(), max_norm)

    return Recipe(gradient=gradient, turn=Turn.BOUND)
