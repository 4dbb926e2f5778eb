"""Dropout at the beginning of training only."""

from typing import Annotated

from torch import Tensor

from recipes._core.checks import In
from recipes._core.recipe import Recipe
from recipes._core.registry import register
from recipes._core.schedule import Progress, Scheduled
from recipes._core.slots import insert
from recipes.dropout_and_noise.dropout import drop


def early_rate(p: float, progress: float, share: float) -> float:
    """From p at progress 0 linearly down to 0 at progress `share`, and 0 from there on."""
    return p * max(0.0, 1 - progress / share)


class EarlyDropout(Scheduled):
    """Drops each unit with probability `early_rate`, in training mode; (N, C) -> (N, C)."""

    def __init__(self, p: float, share: float) -> None:
        super().__init__()
        self.p, self.share = p, share

    def forward(self, x: Tensor) -> Tensor:
        p = early_rate(self.p, self.progress, self.share)
        return drop(x, p, tuple(x.shape[1:])) if self.training and p else x


@register(
    paper="Liu, Xu, Jin, Shen and Darrell 2023, Dropout Reduces Underfitting",
    reference="`numpy.linspace` from p to 0 over the early steps, as in the authors' code.",
    strength="p",
    grid=(0.05, 0.1, 0.2, 0.3, 0.5, 0.7),
    off=0.0,
)
def early_dropout(
    p: Annotated[float, In(0, 1, right=False)] = 0.3, share: Annotated[float, In(0, 1, left=False)] = 0.2
) -> Recipe:
    """Dropout whose rate falls to zero early in training: p_t = p * max(0, 1 - t / share) at progress t in [0, 1).

    It aligns the first gradients and helps a network to fit, so it is meant for networks that underfit. It stands where
    `dropout` does.

    Args:
        p: the strength: the probability that a unit is dropped in the first step.
        share: the share of the training steps with dropout. In the paper it ends after 50 of 300 epochs, at 1/6.

    Raises:
        UnfitError: the network has no hidden units before a fully connected layer.
    """
    if not p:
        return Recipe()
    model = insert(lambda slot: EarlyDropout(p, share), "hidden", dims=0)
    return Recipe(model=model, callbacks=lambda: [Progress()])
