"""Batch normalization as a technique to be measured."""

from recipes._core.checks import require
from recipes._core.recipe import Recipe
from recipes._core.registry import register
from recipes._core.surgery import normalize
from recipes._core.synced_batch_norm import BatchNorm


@register(
    family="normalization",
    paper="Ioffe and Szegedy 2015, Batch Normalization; Luo et al. 2019, Towards Understanding Regularization in BN",
)
def batch_norm(momentum: float = 0.1) -> Recipe:
    """Hidden layers are normalized over the batch, whose noise regularizes: h <- gamma * (h - mean) / std + beta.

    Between each hidden linear or convolutional layer and its activation. Evaluation uses the running statistics. With
    several processes the statistics run over the whole batch. It has no strength: it is there or not. `momentum` is the
    newest batch's weight, as in torch (Keras's is the old ones', 1 - momentum), and running variances are unbiased.

    Args:
        momentum: the weight of the newest batch in the running statistics, in (0, 1].

    Raises:
        ValueError: momentum is outside (0, 1].
        UnfitError: the network has no hidden layer, or is normalized already.
    """
    require(0 < momentum <= 1, "momentum", momentum, "in (0, 1]")
    return Recipe(
        model=normalize("batch_norm", lambda slot: BatchNorm(slot.channels, slot.dims, momentum), replace=False)
    )
