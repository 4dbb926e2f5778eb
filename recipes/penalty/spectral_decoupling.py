"""Spectral decoupling: L2 on the logits."""

from typing import Annotated

from torch import Tensor, nn

from recipes._core.checks import AtLeast
from recipes._core.recipe import Recipe, Step
from recipes._core.registry import register


def logit_energy(logits: Tensor) -> Tensor:
    """Half the squared norm of each row of (N, K) logits; (N,)."""
    return logits.float().square().sum(1) / 2


@register(
    paper="Pezeshki, Kaba, Bengio, Courville, Precup and Lajoie 2021, "
    "Gradient Starvation: A Learning Proclivity in Neural Networks",
    reference="the paper's formula in NumPy, sample by sample.",
    strength="lam",
    grid=(1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 1.0),
    off=0.0,
)
def spectral_decoupling(lam: Annotated[float, AtLeast(0)] = 0.01) -> Recipe:
    """Logits stay small, so that no feature starves the others: adds lam / 2 * mean over samples of |logits|^2.

    The squares are summed over the classes as in the paper; DomainBed averages them, without the 1/2.

    Args:
        lam: lambda, the strength, in units of the loss.
    """

    def penalty(net: nn.Module, step: Step) -> Tensor:
        return lam * logit_energy(step.logits).mean()

    return Recipe(penalty=penalty if lam else None)
