"""A bound on each single weight."""

from typing import Annotated

import torch
from torch import nn

from recipes._core.checks import Above
from recipes._core.recipe import Recipe, StepSize, Turn
from recipes._core.registry import register
from recipes._core.slots import weights


@register(
    paper="Arjovsky, Chintala and Bottou 2017, Wasserstein GAN",
    reference="`numpy.clip`.",
    strength="c",
    grid=(0.3, 0.2, 0.1, 0.05, 0.03, 0.01),
    off=None,
)
def weight_clip(c: Annotated[float | None, Above(0)] = 0.1) -> Recipe:
    """Weights stay within a box: w <- min(max(w, -c), c) after each optimizer step.

    On all linear and convolutional layers. The authors' code clips biases and normalization parameters too, which are
    exempt here, since a scale that starts at 1 is no weight.

    Args:
        c: the strength, the smaller the stronger: the largest absolute value; `None`: no bound.
    """
    if c is None:
        return Recipe()

    @torch.no_grad()
    def project(net: nn.Module, step_size: StepSize) -> None:
        for w in weights(net):
            w.clamp_(-c, c)

    return Recipe(project=project, turn=Turn.BOX)
