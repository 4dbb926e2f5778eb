"""Batch normalization as a technique to be measured."""

from typing import Annotated

from recipes._core.checks import In
from recipes._core.recipe import Recipe
from recipes._core.registry import register
from recipes._core.surgery import normalize
from recipes._core.synced_batch_norm import BatchNorm


@register(
    paper="Ioffe and Szegedy 2015, Batch Normalization; Luo et al. 2019, Towards Understanding Regularization in BN",
    reference="the closed form, and `torch.nn.BatchNorm1d` and `BatchNorm2d` for the running statistics.",
)
def batch_norm(momentum: Annotated[float, In(0, 1, left=False)] = 0.1) -> Recipe:
    """Hidden layers are normalized over the batch, whose noise regularizes: h <- gamma * (h - mean) / std + beta.

    Between each hidden linear or convolutional layer and its activation. Evaluation uses the running statistics. With
    several processes the statistics run over the whole batch. It has no strength: it is there or not. `momentum` is the
    newest batch's weight, as in torch (Keras's is the old ones', 1 - momentum), and running variances are unbiased.

    Args:
        momentum: the weight of the newest batch in the running statistics.

    Raises:
        UnfitError: the network has no hidden layer, or is normalized already.
    """
    return Recipe(
        model=normalize("batch_norm", lambda slot: BatchNorm(slot.channels, slot.dims, momentum), replace=False)
    )
