"""Batch normalization as a technique to be measured."""

from torch import nn

from recipes._norm import BatchNorm
from recipes._recipe import Recipe, UnfitError
from recipes._registry import register
from recipes._slots import slots


@register(
    family="normalization",
    paper="Ioffe and Szegedy 2015, Batch Normalization; Luo et al. 2019, Towards Understanding Regularization in BN",
)
def batch_norm(momentum: float = 0.1) -> Recipe:
    """Hidden layers are normalized over the batch, whose noise regularizes: h <- gamma * (h - mean) / std + beta.

    Between each hidden linear or convolutional layer and its activation. Evaluation uses the running statistics. With
    several processes the statistics run over the whole batch. It has no strength: it is there or not.

    Args:
        momentum: the weight of the newest batch in the running statistics, in (0, 1].

    Raises:
        ValueError: momentum is outside (0, 1].
        UnfitError: the network has no hidden layer, or is normalized already.
    """
    if not 0 < momentum <= 1:
        raise ValueError(f"momentum must be in (0, 1], got {momentum!r}")

    def model(net: nn.Module) -> nn.Module:
        for slot in slots(net, "norm"):
            if not slot.empty:
                raise UnfitError("batch_norm: this network's hidden layers are normalized already")
            slot.append(BatchNorm(slot.channels, slot.dims, momentum))
        return net

    return Recipe(model=model)
