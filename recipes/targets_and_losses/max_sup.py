"""MaxSup: label smoothing of the top logit."""

from typing import Annotated

from torch import Tensor, nn

from recipes._core.checks import AtLeast
from recipes._core.recipe import Recipe, Step
from recipes._core.registry import register


def excess(logits: Tensor) -> Tensor:
    """(N,) distances from the mean of each row of (N, K) logits to its maximum."""
    return logits.float().amax(1) - logits.float().mean(1)


@register(
    paper="Zhou et al. 2025, MaxSup: Overcoming Representation Collapse in Label Smoothing",
    reference="`torch.nn.functional.cross_entropy(label_smoothing=)`, which it equals where the prediction is right.",
    strength="alpha",
    grid=(0.02, 0.05, 0.1, 0.3, 1.0),
    off=0.0,
)
def max_sup(alpha: Annotated[float, AtLeast(0)] = 0.1) -> Recipe:
    """The top logit must not stand out: adds alpha * mean over samples of (max_k logits_k - mean_k logits_k).

    On a sample classified correctly it equals `label_smoothing(alpha)`, which penalizes the target's logit; on the
    others label smoothing pushes the wrong prediction up and MaxSup down.

    Args:
        alpha: the strength.
    """

    def penalty(net: nn.Module, step: Step) -> Tensor:
        return alpha * excess(step.logits).mean()

    return Recipe(penalty=penalty if alpha else None)
