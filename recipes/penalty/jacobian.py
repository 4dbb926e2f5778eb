"""Jacobian regularization."""

from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recipes._core.checks import AtLeast, Whole
from recipes._core.distributed import draw_rows
from recipes._core.recipe import Recipe, Step
from recipes._core.registry import register
from recipes.penalty.input_gradient import slope


def squared_jacobian(net: nn.Module, x: Tensor, directions: Tensor) -> Tensor:
    """(N,) estimates of |d logits / d x|_F^2, without bias: K * |d (v . logits) / d x|^2 for unit vectors v.

    Args:
        net: maps x to (N, K) logits.
        x: (N, ...) inputs.
        directions: (N, K) vectors v, uniform on the sphere.
    """
    classes = directions.shape[1]
    return classes * slope(net, x, lambda logits: (logits * directions).sum(1)).square().sum(1)


@register(
    paper="Hoffman, Roberts and Yaida 2019, Robust Learning with Jacobian Regularization",
    reference="`torch.func.jacrev` of each sample, beside means over an orthonormal basis and over random directions.",
    strength="lam",
    grid=(1e-4, 1e-3, 1e-2, 1e-1, 1.0),
    off=0.0,
)
def jacobian(lam: Annotated[float, AtLeast(0)] = 0.01, projections: Annotated[int, Whole(1, 1_000)] = 1) -> Recipe:
    """Logits must not change fast with the input: adds lam / 2 * mean over samples of |d logits / d x|_F^2.

    Estimated by random projections as in the paper: K * |d (v . logits) / d x|^2 for unit vectors v drawn anew for each
    sample and step. x in units of the input (pixels lie in [0, 1]), before the network standardizes it. Each projection
    costs a pass of its own, with its own dropout masks, and a backward pass through the backward pass. Where
    `manifold_mixup` makes rows share a hidden layer, a sample's gradient is that of the whole batch's projections.

    Args:
        lam: lambda, the strength. 0.01 in the paper.
        projections: how many vectors the estimate averages; 1 in the paper.
    """

    def penalty(net: nn.Module, step: Step) -> Tensor:
        classes = step.y.shape[1]
        draws = [F.normalize(draw_rows(torch.randn, step.x, (classes,)), dim=1) for _ in range(projections)]
        return lam / 2 * torch.stack([squared_jacobian(net, step.x, v) for v in draws]).mean()

    return Recipe(penalty=penalty if lam else None)
