"""Label smoothing."""

from typing import Annotated

from torch import Tensor

from recipes._core.checks import In
from recipes._core.recipe import Recipe
from recipes._core.registry import register


def smooth(y: Tensor, epsilon: float) -> Tensor:
    """(1 - epsilon) * y + epsilon / K, for targets y of shape (N, K) whose rows sum to 1."""
    return (1 - epsilon) * y + epsilon / y.shape[-1]


@register(
    paper="Szegedy, Vanhoucke, Ioffe, Shlens and Wojna 2016, Rethinking the Inception Architecture",
    reference="torch.nn.functional.cross_entropy(label_smoothing=).",
    strength="epsilon",
    grid=(0.02, 0.05, 0.1, 0.2, 0.4),
    off=0.0,
)
def label_smoothing(epsilon: Annotated[float, In(0, 1)] = 0.1) -> Recipe:
    """Targets are never certain: y <- (1 - epsilon) * y + epsilon / K over the K classes.

    As in `torch.nn.functional.cross_entropy(label_smoothing=)`; some codes use epsilon / (K - 1) on the wrong classes
    only. Validation loss stays unsmoothed.

    Args:
        epsilon: the strength: the probability moved to the uniform distribution.
    """

    def batch(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return x, smooth(y, epsilon)

    return Recipe(batch=batch if epsilon else None)
