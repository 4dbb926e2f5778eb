"""L1 regularization by the proximal step: weights become exactly zero."""

from typing import Annotated

import torch
from torch import Tensor, nn

from recipes._core.checks import AtLeast
from recipes._core.recipe import Recipe, StepSize, Turn
from recipes._core.registry import register
from recipes._core.slots import weights


def soft_threshold(w: Tensor, threshold: Tensor | float) -> Tensor:
    """sign(w) * max(|w| - threshold, 0), elementwise: the proximal operator of threshold * |w|. Shapes as `w`."""
    return w.sign() * (w.abs() - threshold).clamp_min(0)


@register(
    paper="Tibshirani 1996, The Lasso; Parikh and Boyd 2014, Proximal Algorithms; Yun, Lozano and Yang 2021, ProxGen",
    reference="torch's softshrink for the proximal step; scikit-learn's L1 logistic regression for the minimum.",
    strength="lam",
    grid=(1e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3),
    off=0.0,
)
def l1(lam: Annotated[float, AtLeast(0)] = 3e-5) -> Recipe:
    """Weights become exactly zero: minimizes loss + lam * sum |w| by a soft threshold after each optimizer step.

    A subgradient would only make weights small. The threshold is lam times the size of the step just made, coordinate
    by coordinate: lr / (1 - momentum) under SGD and lr / (sqrt(v) + eps) under Adam (the proximal operator in
    Adam's own metric, ProxGen). So lam weighs the same objective under every optimizer.
    Biases and normalization parameters are exempt. The record's `zero_fraction` tells the sparsity.

    Args:
        lam: lambda, the strength, in units of the loss.
    """

    @torch.no_grad()
    def project(net: nn.Module, step_size: StepSize) -> None:
        for w in weights(net):
            w.copy_(soft_threshold(w, lam * step_size(w)))

    return Recipe(project=project if lam else None, turn=Turn.THRESHOLD)
