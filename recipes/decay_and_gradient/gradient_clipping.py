"""Gradient clipping by the global norm."""

from torch import nn

from recipes._core.checks import require
from recipes._core.recipe import Recipe
from recipes._core.registry import register


@register(
    family="decay and gradient",
    paper="Pascanu, Mikolov and Bengio 2013, On the Difficulty of Training Recurrent Neural Networks",
    strength="max_norm",
    grid=(3.0, 1.0, 0.3, 0.1, 0.03, 0.01),
    off=None,
)
def gradient_clipping(max_norm: float | None = 1.0) -> Recipe:
    """Long gradients are shortened: g <- g * min(1, max_norm / |g|), g the gradient of all parameters together.

    Once a step, on the whole batch's gradient. By `torch.nn.utils.clip_grad_norm_`, which adds 1e-6 to |g|.
    Adam's steps do not depend on the scale of gradients: there clipping only keeps single batches from outweighing.

    Args:
        max_norm: the strength, the smaller the stronger: the largest norm, above 0; `None` clips nothing.

    Raises:
        ValueError: max_norm is not positive.
    """
    if max_norm is None:
        return Recipe()
    require(max_norm > 0, "max_norm", max_norm, "above 0, or None")

    def gradient(net: nn.Module) -> None:
        nn.utils.clip_grad_norm_(net.parameters(), max_norm)

    return Recipe(gradient=gradient)
