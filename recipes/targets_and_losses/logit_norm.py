"""Logit normalization."""

from typing import Annotated

import torch.nn.functional as F
from torch import Tensor

from recipes._core.checks import Above
from recipes._core.recipe import Recipe
from recipes._core.registry import register


def normalized(logits: Tensor, tau: float) -> Tensor:
    """(N, K) logits, each row scaled to norm 1 / tau."""
    return F.normalize(logits.float(), dim=1) / tau


@register(
    paper="Wei, Xie, Cheng, Feng, An and Li 2022, Mitigating Neural Network Overconfidence with Logit Normalization",
    reference="the paper's formula in NumPy and SciPy, sample by sample.",
    strength="tau",
    grid=(0.02, 0.04, 0.1, 0.3, 1.0, 3.0),
    off=None,
)
def logit_norm(tau: Annotated[float | None, Above(0)] = 0.1) -> Recipe:
    """The loss sees only the logits' direction: cross-entropy of logits / (tau * |logits|).

    As in the paper the training loss only is normalized: evaluation takes the softmax of the logits as they are, whose
    length the loss leaves free. So it is the accuracy that compares to other recipes, less so the validation loss.

    Args:
        tau: the strength: the temperature; the logits' norm is 1 / tau, and the larger tau, the less confident can the
            network be. The authors' README trains CIFAR-10 with 0.01, OpenOOD with 0.04; networks without normalization
            learn slowly from either. `None` turns it off.
    """
    if tau is None:
        return Recipe()

    def loss(logits: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(normalized(logits, tau), y, reduction="none")

    return Recipe(loss=loss)
