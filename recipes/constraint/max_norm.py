"""A bound on the norm of each unit's incoming weights."""

from typing import Annotated

import torch
from torch import Tensor, nn

from recipes._core.checks import Above
from recipes._core.recipe import Recipe, StepSize, Turn
from recipes._core.registry import register
from recipes._core.slots import weights


def project_rows(w: Tensor, c: float) -> Tensor:
    """The nearest weights whose norm over all dimensions but 0, which counts the units, is at most c."""
    norms = torch.linalg.vector_norm(w, dim=tuple(range(1, w.ndim)), keepdim=True)
    projected: Tensor = w * (c / norms).clamp_max(1)
    return projected


@register(
    paper="Srebro and Shraibman 2005, Rank, Trace-Norm and Max-Norm; Srivastava et al. 2014, Dropout",
    reference="`torch.renorm`.",
    strength="c",
    grid=(2.0, 1.0, 0.8, 0.6, 0.4, 0.2),
    off=None,
)
def max_norm(c: Annotated[float | None, Above(0)] = 0.7) -> Recipe:
    """Each unit's incoming weights stay within a ball: w <- w * min(1, c / |w|) after each optimizer step.

    On all linear and convolutional layers (a convolution's units are its output channels), the output layer too.
    Biases are exempt.

    Args:
        c: the strength, the smaller the stronger: the largest norm; `None`: no bound.
    """
    if c is None:
        return Recipe()

    @torch.no_grad()
    def project(net: nn.Module, step_size: StepSize) -> None:
        for w in weights(net):
            w.copy_(project_rows(w, c))

    return Recipe(project=project, turn=Turn.BALL)
