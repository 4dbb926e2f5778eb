"""Confidence penalty."""

from typing import Annotated

from torch import Tensor, nn

from recipes._core.checks import AtLeast
from recipes._core.recipe import Recipe, Step
from recipes._core.registry import register


def entropy(logits: Tensor) -> Tensor:
    """(N,) entropies in nats of the softmax of (N, K) logits."""
    log_p = logits.float().log_softmax(1)
    return -(log_p.exp() * log_p).sum(1)


@register(
    paper="Pereyra, Tucker, Chorowski, Kaiser and Hinton 2017, "
    "Regularizing Neural Networks by Penalizing Confident Output Distributions",
    reference="`scipy.stats.entropy` and `torch.distributions.Categorical`.",
    strength="beta",
    grid=(0.03, 0.1, 0.3, 1.0, 3.0),
    off=0.0,
)
def confidence_penalty(beta: Annotated[float, AtLeast(0)] = 0.3) -> Recipe:
    """Confident predictions cost: adds -beta * mean over samples of the entropy of softmax(logits).

    Label smoothing pulls to the uniform distribution by the KL divergence the other way round. Without the paper's
    annealing and threshold.

    Args:
        beta: the strength, in units of the loss (entropy in nats).
    """

    def penalty(net: nn.Module, step: Step) -> Tensor:
        return -beta * entropy(step.logits).mean()

    return Recipe(penalty=penalty if beta else None)
