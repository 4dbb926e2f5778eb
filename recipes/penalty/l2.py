"""L2 regularization: the squared norm of the weights in the loss."""

from typing import Annotated

import torch
from torch import Tensor, nn

from recipes._core.checks import AtLeast
from recipes._core.recipe import Recipe, Step
from recipes._core.registry import register
from recipes._core.slots import weights


def squared_norm(net: nn.Module) -> Tensor:
    """Sum of w^2 over the weights of linear and convolutional layers; a scalar."""
    return torch.stack([w.square().sum() for w in weights(net)]).sum()


@register(
    paper="Hoerl and Kennard 1970, Ridge Regression; Krogh and Hertz 1991, A Simple Weight Decay",
    reference="torch.optim.SGD's coupled weight decay for the gradient; scikit-learn's ridge logistic regression.",
    strength="lam",
    grid=(1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2),
    off=0.0,
)
def l2(lam: Annotated[float, AtLeast(0)] = 3e-4) -> Recipe:
    """Large weights cost: adds lam * sum w^2 to the loss (ridge, Tikhonov).

    Under an adaptive optimizer the penalty's gradient is rescaled like any other, which is why `weight_decay` differs.
    Biases and normalization parameters are exempt.

    Args:
        lam: lambda, the strength, in units of the loss. Weight decay in the sense of `torch.optim.SGD(weight_decay=wd)`
            is wd = 2 * lam.
    """

    def penalty(net: nn.Module, step: Step) -> Tensor:
        return lam * squared_norm(net)

    return Recipe(penalty=penalty if lam else None)
