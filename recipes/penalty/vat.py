"""Virtual adversarial training."""

from contextlib import AbstractContextManager
from typing import Annotated

import torch
from torch import Tensor, nn

from recipes._core.checks import Above, AtLeast, Whole
from recipes._core.distributed import draw_rows
from recipes._core.passes import frozen_statistics
from recipes._core.recipe import Recipe, Step
from recipes._core.registry import register


def divergence(log_p: Tensor, logits: Tensor) -> Tensor:
    """KL(p || softmax(logits)) of each row; (N, K) both, (N,) nats."""
    return (log_p.exp() * (log_p - logits.log_softmax(1))).sum(1)


def unit(d: Tensor) -> Tensor:
    """Each row of (N, ...) scaled to norm 1; a row of zeros stays."""
    flat = d.flatten(1)
    # By the largest entry first: gradients of a saturated softmax are so small that their squares underflow.
    flat = flat / flat.abs().amax(1, keepdim=True).clamp_min(torch.finfo(d.dtype).tiny)
    return nn.functional.normalize(flat, dim=1).view_as(d)


def same_draws(x: Tensor) -> AbstractContextManager[None]:
    """Within it random numbers are drawn that the code behind it draws again."""
    return torch.random.fork_rng([x.device] if x.is_cuda else [])


@register(
    paper="Miyato, Maeda, Koyama and Ishii 2018, Virtual Adversarial Training",
    reference="the divergence's Hessian (`torch.func.hessian`), whose first eigenvector many rounds find.",
    strength="epsilon",
    grid=(0.03, 0.1, 0.3, 1.0, 2.0, 4.0),
    off=0.0,
)
def vat(
    epsilon: Annotated[float, AtLeast(0)] = 1.0,
    alpha: Annotated[float, AtLeast(0)] = 1.0,
    xi: Annotated[float, Above(0)] = 0.01,
    rounds: Annotated[int, Whole(1, 100)] = 1,
) -> Recipe:
    """Predictions must withstand the worst shift r of the input, |r| = epsilon: adds alpha * mean KL(p(x) || p(x + r)).

    r points where the divergence grows fastest, found by power iteration from a random start; p(x) is held constant.
    All passes draw the same dropout masks, so that the divergence is the shift's alone; they run in single precision.
    Costs 2 + rounds passes forward. The search starts at xi times a unit vector; the authors' xi is 1e-6, but with many
    pixels each then moves by less than single precision resolves.

    Args:
        epsilon: the strength: the L2 norm of the shift in units of the input (pixels lie in [0, 1]). An image of MNIST
            has norm 9.
        alpha: weight of the penalty, in units of the loss, 1 in the paper.
        xi: length of the finite difference.
        rounds: power iterations; 1 in the paper.
    """

    def penalty(net: nn.Module, step: Step) -> Tensor:
        x = step.x
        d = unit(draw_rows(torch.randn, x, tuple(x.shape[1:])))
        with frozen_statistics(net), torch.autocast(x.device.type, enabled=False):
            with torch.no_grad(), same_draws(x):
                log_p = net(x).log_softmax(1)
            for _ in range(rounds):
                d.requires_grad_()
                with same_draws(x):
                    change = divergence(log_p, net(x + xi * d)).sum()
                d = unit(torch.autograd.grad(change, d)[0])
            return alpha * divergence(log_p, net(x + epsilon * d)).mean()

    return Recipe(penalty=penalty if epsilon and alpha else None)
