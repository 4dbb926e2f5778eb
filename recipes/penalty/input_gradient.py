"""Input gradient regularization, or double backpropagation."""

from collections.abc import Callable
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recipes._core.checks import AtLeast
from recipes._core.passes import frozen_statistics
from recipes._core.recipe import Recipe, Step
from recipes._core.registry import register


def slope(net: nn.Module, x: Tensor, score: Callable[[Tensor], Tensor]) -> Tensor:
    """(N, D) gradients of `score(net(x))`, one number a row, to the flattened input; differentiable once more."""
    x = x.detach().requires_grad_()
    # A gradient of a gradient in bfloat16 has the wrong length and direction where the loss is nearly flat.
    with frozen_statistics(net), torch.autocast(x.device.type, enabled=False):
        (gradient,) = torch.autograd.grad(score(net(x)).sum(), x, create_graph=True)
    return gradient.flatten(1)


@register(
    paper="Drucker and LeCun 1992, Improving Generalization Performance Using Double Backpropagation; "
    "Ross and Doshi-Velez 2018, Improving the Adversarial Robustness and Interpretability of Deep Neural Networks",
    reference="`torch.func.grad` of each sample's loss; finite differences (`gradcheck`) for the penalty's gradient.",
    strength="lam",
    grid=(1e-3, 1e-2, 1e-1, 1.0, 10.0),
    off=0.0,
)
def input_gradient(lam: Annotated[float, AtLeast(0)] = 0.1) -> Recipe:
    """The loss must not change fast with the input: adds lam * mean over samples of |d CE / d x|^2.

    x in units of the input (pixels lie in [0, 1]), before the network standardizes it. CE is the soft cross-entropy
    of the training targets, whatever loss is trained. Where `manifold_mixup` makes rows share a hidden layer, a
    sample's gradient is that of the whole batch's CE. Costs a second pass, which draws its own dropout masks, and a
    backward pass through the backward pass.

    Args:
        lam: lambda, the strength. Drucker and LeCun's penalty has lam = 1/2.
    """

    def penalty(net: nn.Module, step: Step) -> Tensor:
        gradient = slope(net, step.x, lambda logits: F.cross_entropy(logits, step.y, reduction="none"))
        return lam * gradient.square().sum(1).mean()

    return Recipe(penalty=penalty if lam else None)
