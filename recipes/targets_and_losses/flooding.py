"""Flooding."""

from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from recipes._core.checks import AtLeast
from recipes._core.distributed import all_sum, world
from recipes._core.recipe import Recipe
from recipes._core.registry import register


def flood(losses: Tensor, b: float) -> Tensor:
    """(N,) losses mirrored at the level b if their mean L over the whole batch is below it: their mean is |L - b| + b.

    The whole batch is that of all processes together.
    """
    level = all_sum(losses.detach().sum()) / (len(losses) * world())
    return torch.where(level < b, 2 * b - losses, losses)


@register(
    paper="Ishida, Yamane, Sakai, Niu and Sugiyama 2020, "
    "Do We Need Zero Training Loss After Achieving Zero Training Error?",
    reference="autograd of the paper's |L - b| + b on the mean loss of the whole batch.",
    strength="b",
    grid=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    off=0.0,
)
def flooding(b: Annotated[float, AtLeast(0)] = 0.05) -> Recipe:
    """The training loss does not fall below a level: the loss is |L - b| + b, L the mean cross-entropy of the batch.

    Below the level the step goes uphill. Penalties of other recipes stay outside. With several processes L is the
    whole batch's.

    Args:
        b: the strength: the flood level in nats.
    """

    def loss(logits: Tensor, y: Tensor) -> Tensor:
        return flood(F.cross_entropy(logits, y, reduction="none"), b)

    return Recipe(loss=loss if b else None)
