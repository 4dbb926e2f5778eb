"""DeCov: decorrelated hidden units."""

from typing import Annotated, Any

import torch
from torch import Tensor, nn

from recipes._core.checks import AtLeast
from recipes._core.distributed import all_sum, world
from recipes._core.recipe import Recipe, Step
from recipes._core.registry import register
from recipes._core.slots import slots


def squared_covariance(h: Tensor) -> Tensor:
    """(|C|_F^2 - |diag C|^2) / 2 for the covariance C of the columns of (N, D); a scalar.

    The N rows are the whole batch's, however many processes share them. C divides by N.
    """
    n = len(h) * world()
    centred = h - all_sum(h.sum(0)) / n
    covariance = all_sum(centred.T @ centred) / n
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / 2


class Listener:
    """Keeps the hidden layer's activations of the first pass since `wait`, which is the training step's own."""

    waiting = False
    heard: Tensor | None = None

    def wait(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        self.waiting = True
        return x, y

    def hear(self, slot: nn.Module, inputs: tuple[Any, ...]) -> None:
        if self.waiting and slot.training:
            self.waiting, self.heard = False, inputs[0]

    def take(self) -> Tensor:
        h, self.heard = self.heard, None
        assert h is not None, "a training pass precedes the penalty"
        return h


@register(
    paper="Cogswell, Ahmed, Girshick, Zitnick and Batra 2016, "
    "Reducing Overfitting in Deep Networks by Decorrelating Representations",
    reference="`numpy.cov`.",
    strength="lam",
    grid=(1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0),
    off=0.0,
)
def decov(lam: Annotated[float, AtLeast(0)] = 0.1) -> Recipe:
    """Hidden units must not repeat each other: adds lam * (|C|_F^2 - |diag C|^2) / 2, C their covariance in the batch.

    Of the last hidden layer's activations, before any dropout there. With several processes C is the whole batch's.

    Args:
        lam: lambda, the strength, in units of the loss. 0.1 in most of the paper's experiments.

    Raises:
        UnfitError: the network has no hidden units before a fully connected layer.
    """
    if not lam:
        return Recipe()
    listener = Listener()

    def model(net: nn.Module) -> nn.Module:
        slots(net, "hidden", dims=0)[-1].register_forward_pre_hook(listener.hear)
        return net

    def penalty(net: nn.Module, step: Step) -> Tensor:
        with torch.autocast(step.x.device.type, enabled=False):
            return lam * squared_covariance(listener.take().float())

    return Recipe(model=model, batch=listener.wait, penalty=penalty)
