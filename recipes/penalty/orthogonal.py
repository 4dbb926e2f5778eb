"""Soft orthogonality of the weights."""

from typing import Annotated

import torch
from torch import Tensor, nn

from recipes._core.checks import AtLeast
from recipes._core.recipe import Recipe, Step
from recipes._core.registry import register
from recipes._core.slots import weights


def deviation(w: Tensor) -> Tensor:
    """|G - I|_F^2 for the smaller Gram matrix G of (R, ...) weights, seen as a matrix of R rows; a scalar."""
    matrix = w.flatten(1)
    matrix = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    gram = matrix @ matrix.T
    return (gram - torch.eye(len(gram), device=w.device, dtype=w.dtype)).square().sum()


@register(
    paper="Bansal, Chen and Wang 2018, Can We Gain More from Orthogonality Regularizations in Training Deep Networks?; "
    "Brock, Lim, Ritchie and Weston 2017, Neural Photo Editing with Introspective Adversarial Networks",
    reference="NumPy's singular values s, |W^T W - I|^2 = sum (s^2 - 1)^2; `torch.nn.init.orthogonal_`.",
    strength="lam",
    grid=(1e-5, 1e-4, 1e-3, 1e-2, 1e-1),
    off=0.0,
)
def orthogonal(lam: Annotated[float, AtLeast(0)] = 1e-3) -> Recipe:
    """Each layer's weights are drawn to orthonormality: adds lam * sum over layers of |W^T W - I|_F^2.

    A convolution's W is (filters, channels * height * width). Of W^T W and W W^T the smaller one is taken, which can
    be the identity; the other's norm differs by a constant, so that Bansal's single- and double-sided penalties have
    the same gradient up to a factor of 2. Brock takes absolute values in place of squares. The output layer counts.

    Args:
        lam: lambda, the strength, in units of the loss.
    """

    def penalty(net: nn.Module, step: Step) -> Tensor:
        # Near the identity bfloat16 resolves no more than 1/128: the products are taken in single precision.
        with torch.autocast(step.x.device.type, enabled=False):
            return lam * torch.stack([deviation(w) for w in weights(net)]).sum()

    return Recipe(penalty=penalty if lam else None)
