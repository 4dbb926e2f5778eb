"""R-Drop."""

from typing import Annotated

from torch import Tensor, nn

from recipes._core.checks import AtLeast, In
from recipes._core.passes import frozen_statistics
from recipes._core.recipe import Recipe, Step
from recipes._core.registry import register
from recipes.dropout_and_noise.dropout import dropout


def symmetric_kl(a: Tensor, b: Tensor) -> Tensor:
    """(KL(p || q) + KL(q || p)) / 2 for the softmax p and q of logits a and b, both (N, K); (N,) nats."""
    log_p, log_q = a.float().log_softmax(1), b.float().log_softmax(1)
    return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(1) / 2


@register(
    paper="Liang et al. 2021, R-Drop: Regularized Dropout for Neural Networks",
    reference="`torch.distributions.kl_divergence` of both passes; zero in a deterministic network.",
    strength="alpha",
    grid=(0.1, 0.3, 1.0, 3.0, 10.0),
    off=0.0,
)
def r_drop(alpha: Annotated[float, AtLeast(0)] = 1.0, p: Annotated[float, In(0, 1, right=False)] = 0.3) -> Recipe:
    """Two dropout passes must agree: adds alpha * (KL(p1 || p2) + KL(p2 || p1)) / 2, averaged over samples.

    It brings `dropout(p)` with it, as the divergence is zero in a deterministic network; with p = 0 it regularizes the
    noise of other recipes: `gaussian_dropout+r_drop(p=0)`. alpha = 0 turns off the dropout too. The cross-entropy is
    the first pass's. The paper adds that of both passes, so that its alpha is twice ours. Of the authors' code the
    README averages it over both, which has the same expectation as ours, and the part for images adds both and sums the
    divergence over the batch. Costs a second pass a step.

    Args:
        alpha: the strength, in units of the loss. The paper's 0.6 on images is 0.3 here.
        p: of the dropout.

    Raises:
        UnfitError: p is not 0 and the network has no hidden units before a fully connected layer.
    """
    noise = dropout(p)

    def penalty(net: nn.Module, step: Step) -> Tensor:
        with frozen_statistics(net):
            return alpha * symmetric_kl(step.logits, net(step.x)).mean()

    return Recipe(model=noise.model if p else None, penalty=penalty) if alpha else Recipe()
