"""Focal loss."""

from typing import Annotated

import torch
from torch import Tensor

from recipes._core.checks import AtLeast
from recipes._core.recipe import Recipe
from recipes._core.registry import register


def focal_loss(logits: Tensor, y: Tensor, gamma: float) -> Tensor:
    """-sum_k y_k (1 - p_k)^gamma log p_k with p = softmax(logits); logits and y (N, K), result (N,)."""
    log_p = logits.float().log_softmax(1)
    # At p = 1 the power's slope is infinite for gamma < 1, and times log p = 0 not a number.
    missing = (-torch.expm1(log_p)).clamp_min(torch.finfo(log_p.dtype).eps)
    return -(y * missing.pow(gamma) * log_p).sum(1)


@register(
    paper="Lin, Goyal, Girshick, He and Dollar 2017, Focal Loss for Dense Object Detection; "
    "Mukhoti et al. 2020, Calibrating Deep Neural Networks using Focal Loss",
    reference="`kornia.losses.focal_loss` (softmax), `torchvision.ops.sigmoid_focal_loss` with two classes, and SciPy.",
    strength="gamma",
    grid=(0.5, 1.0, 2.0, 3.0, 5.0),
    off=0.0,
)
def focal(gamma: Annotated[float, AtLeast(0)] = 2.0) -> Recipe:
    """Samples that are classified well count less: the loss is -sum_k y_k (1 - p_k)^gamma log p_k.

    On the softmax, as in Mukhoti et al. and kornia; torchvision's `sigmoid_focal_loss` is the original on one sigmoid
    a class. Without class weights (the original's alpha). Soft targets weigh the classes' terms.

    Args:
        gamma: the strength: the focusing parameter.
    """

    def loss(logits: Tensor, y: Tensor) -> Tensor:
        return focal_loss(logits, y, gamma)

    return Recipe(loss=loss if gamma else None)
